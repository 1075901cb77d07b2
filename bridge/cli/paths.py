r"""Paths into a twin, as they are typed: `reported.color.r`.

Keys are separated by dots. A key that holds a dot, a quote, an equals sign or a backslash is
written in double quotes (`desired."cct:0.1".on`), or with a backslash before that character
(`desired.cct:0\.1.on`).
"""

from __future__ import annotations

from typing import TypeAlias

from bridge.core.section import JsonValue

Path: TypeAlias = tuple[str, ...]

_SPECIAL = frozenset('."=\\')


class PathError(ValueError):
    """A path is not written as it must be; the message says why."""


def parse_path(text: str, end: str = "") -> tuple[Path, int]:
    """Parse a path from the start of `text`.

    Args:
        text: What was typed.
        end: A character that ends the path where it stands unquoted; empty for none.

    Returns:
        The keys, and the index in `text` at which the path ended.

    Raises:
        PathError: A key is empty, or a quote or an escape is not finished.
    """
    keys = []
    position = 0
    while True:
        key, position = _parse_key(text, position, end)
        keys.append(key)
        if position == len(text) or text[position] == end:
            return tuple(keys), position
        position += 1  # the dot


def _parse_key(text: str, start: int, end: str) -> tuple[str, int]:
    if text[start : start + 1] == '"':
        return _parse_quoted(text, start, end)
    characters = []
    position = start
    while position < len(text) and text[position] not in ("." + end):
        if text[position] == "\\":
            position += 1
            if position == len(text):
                raise PathError(f"{text!r} ends in a backslash with nothing behind it")
        characters.append(text[position])
        position += 1
    if not characters:
        raise PathError(f'{text!r} has an empty key; an empty key is written ""')
    return "".join(characters), position


def _parse_quoted(text: str, start: int, end: str) -> tuple[str, int]:
    characters = []
    position = start + 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\":
            position += 1
        characters.append(text[position : position + 1])
        position += 1
    if position >= len(text):
        raise PathError(f"{text!r} has a quote that is not closed")
    position += 1
    if position < len(text) and text[position] not in ("." + end):
        raise PathError(f"{text!r} has something behind a closing quote that is not a dot")
    return "".join(characters), position


def path_text(path: Path) -> str:
    """Return a path as it would be typed."""
    return ".".join(_key_text(key) for key in path)


def _key_text(key: str) -> str:
    if key and not _SPECIAL.intersection(key):
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


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
