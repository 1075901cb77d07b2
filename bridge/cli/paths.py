"""Paths into a twin, as they are typed (`bridge.core.paths`), and what stands there."""

from __future__ import annotations

from bridge.core.paths import PathError, parse_path, path_text
from bridge.core.section import JsonValue, Path

__all__ = ["Path", "PathError", "parse_path", "path_text", "value_at"]


def value_at(document: JsonValue, path: Path) -> JsonValue:
    """Return what stands at a path; a whole number is the index of an element of an array.

    Raises:
        KeyError: Nothing stands there; the argument is the part of the path up to there.
    """
    value = document
    for depth, key in enumerate(path, start=1):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise KeyError(path_text(path[:depth]))
    return value
