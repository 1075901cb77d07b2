"""The pieces of a line about a twin, whoever prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bridge.core.section import JsonObject, JsonValue, Path

SECTION_STYLES = {"reported": "green", "desired": "yellow"}


class Span(NamedTuple):
    """A piece of a line with its style, as rich names it."""

    text: str
    style: str = ""


def leaves(document: JsonObject, above: Path = ()) -> Iterator[tuple[Path, JsonValue]]:
    """Yield every value with its path; an empty object is one."""
    for key, value in document.items():
        path = (*above, key)
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        else:
            yield path, value
