r"""Paths into a twin, as they are written: `reported.color.r`.

Keys are separated by dots. A key that holds a dot, a quote, an equals sign or a backslash is
written in double quotes (`desired."cct:0.1".on`), or with a backslash before that character
(`desired.cct:0\.1.on`). Where patterns are written, a wildcard stands for itself if it is quoted or
escaped.
"""

from __future__ import annotations

from typing import TypeAlias

from bridge.core.section import Path

Parts: TypeAlias = "tuple[str, ...]"
"""A key as the texts between its wildcards: a key without any is one text."""

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
    levels, position = _parse(text, end, wildcard="")
    return tuple(parts[0] for parts in levels), position


def parse_pattern(text: str, wildcard: str) -> tuple[Parts, ...]:
    """Parse the whole of `text` as a path in whose keys a wildcard may stand.

    Raises:
        PathError: A key is empty, or a quote or an escape is not finished.
    """
    levels, _ = _parse(text, "", wildcard)
    return tuple(levels)


def _parse(text: str, end: str, wildcard: str) -> tuple[list[Parts], int]:
    levels = []
    position = 0
    while True:
        parts, position = _parse_key(text, position, end, wildcard)
        levels.append(parts)
        if position == len(text) or text[position] == end:
            return levels, position
        position += 1  # the dot


def _parse_key(text: str, start: int, end: str, wildcard: str) -> tuple[Parts, int]:
    if text[start : start + 1] == '"':
        return _parse_quoted(text, start, end)
    parts = [""]
    position = start
    while position < len(text) and text[position] not in ("." + end):
        if text[position] == wildcard:
            parts.append("")
        else:
            if text[position] == "\\":
                position += 1
                if position == len(text):
                    raise PathError(f"{text!r} ends in a backslash with nothing behind it")
            parts[-1] += text[position]
        position += 1
    if position == start:
        raise PathError(f'{text!r} has an empty key; an empty key is written ""')
    return tuple(parts), position


def _parse_quoted(text: str, start: int, end: str) -> tuple[Parts, int]:
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
    return ("".join(characters),), position


def path_text(path: Path) -> str:
    """Return a path as it would be typed."""
    return ".".join(_key_text(key) for key in path)


def _key_text(key: str) -> str:
    if key and not _SPECIAL.intersection(key):
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
