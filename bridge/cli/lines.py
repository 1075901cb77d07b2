"""Lines about what is stored: changes, differences, conflicts. No line is longer than a screen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from bridge.cli.spans import SECTION_STYLES, Span, leaves
from bridge.cli.text import compact_json, iso_time, local_time, printable
from bridge.core.paths import path_text
from bridge.core.section import JsonObject, JsonValue

VALUE_CHARACTERS = 80
"""Longest value in a line; `--json` has all of it."""

FIELDS_PER_LINE = 20
"""Most fields in a line, likewise."""


def shown_time(at_us: int, *, for_terminal: bool) -> str:
    """Return a time as people read it: the local one on a terminal, and UTC elsewhere."""
    return local_time(at_us) if for_terminal else iso_time(at_us)


def value_text(value: JsonValue) -> str:
    """Return a value as JSON, cut where it is long."""
    text = compact_json(value)
    if len(text) <= VALUE_CHARACTERS:
        return text
    return f"{text[:VALUE_CHARACTERS]}…"


def field_text(path: tuple[str, ...]) -> str:
    """Return a path as it would be typed, cut where it is long."""
    text = printable(path_text(path))
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"


def patch_spans(section: str, patch: JsonObject, previous: JsonObject) -> Iterator[Span]:
    """Return what a merge patch does to a section, field by field, with what was there."""
    former = dict(leaves(previous))
    style = SECTION_STYLES.get(section, "")
    fields = list(leaves(patch))
    for path, value in islice(fields, FIELDS_PER_LINE):
        text = f"{field_text((section, *path))}={value_text(value)}"
        yield Span(text, "red" if value is None else style)
        was = former.get(path)
        if was is not None:
            yield Span(f"(was {value_text(was)})", "dim")
    if len(fields) > FIELDS_PER_LINE:
        yield Span(f"… and {len(fields) - FIELDS_PER_LINE} more", "dim")
