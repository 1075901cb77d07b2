"""JSON documents as the simulator knows them: merge patches, visibility, exact comparison.

This is deliberately a second, much smaller account of what the bridge does with the reports of
one well-behaved device, so that the two can be held against each other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from bridge.device import JsonObject, JsonValue


class Missing:
    """Stands where a document has nothing; `MISSING` is its only instance."""

    def __repr__(self) -> str:
        return "nothing"


MISSING = Missing()


class Difference(NamedTuple):
    """One place where two documents differ.

    Attributes:
        path: Keys from the top, empty for the whole document.
        expected: What should be there, or `MISSING`.
        actual: What is there, or `MISSING`.
    """

    path: tuple[str, ...]
    expected: JsonValue | Missing
    actual: JsonValue | Missing


def apply_patch(document: JsonObject, patch: JsonObject) -> None:
    """Merge a patch into a document, in place (RFC 7396).

    Unlike RFC 7396, an object goes when its last field is removed, as it does in a twin.
    """
    for key, new in patch.items():
        if new is None:
            document.pop(key, None)
        elif isinstance(new, dict):
            old = document.get(key)
            child = old if isinstance(old, dict) else {}
            apply_patch(child, new)
            if child or not new:
                document[key] = child
            else:
                document.pop(key, None)
        else:
            document[key] = new


def nested(path: tuple[str, ...], value: JsonValue) -> JsonObject:
    """Return the patch that sets one value at a path of at least one key."""
    first, *rest = path
    return {first: nested(tuple(rest), value) if rest else value}


def at_path(document: JsonObject, path: tuple[str, ...]) -> JsonValue | Missing:
    """Return what a document has at a path."""
    value: JsonValue | Missing = document
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def leaves(
    document: JsonObject, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], JsonValue]]:
    """Yield path and value of everything that is not an object with something in it."""
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def visible(document: JsonObject) -> JsonObject:
    """Return a copy without nulls, and without objects in which there was nothing but nulls.

    An object that was empty to begin with stays: `{}` is a value. Arrays are values too, and keep
    the nulls in them.
    """
    seen: JsonObject = {}
    for key, value in document.items():
        if isinstance(value, dict):
            below = visible(value)
            if below or not value:
                seen[key] = below
        elif value is not None:
            seen[key] = value
    return seen


def patches_between(before: JsonObject, after: JsonObject) -> list[JsonObject]:
    """Return the merge patches that lead from one visible document to another.

    None if they are the same, else one; two where an object loses all its fields and stays as
    `{}`, because removing an object's last field removes the object.
    """
    emptied: list[tuple[str, ...]] = []
    patch = _patch(before, after, (), emptied)
    if not emptied:
        return [patch] if patch else []
    marks: JsonObject = {}
    for path in emptied:
        apply_patch(marks, nested(path, {}))
    return [patch, marks]


def _patch(
    before: JsonObject, after: JsonObject, path: tuple[str, ...], emptied: list[tuple[str, ...]]
) -> JsonObject:
    patch: JsonObject = {key: None for key in before if key not in after}
    for key, new in after.items():
        old = before.get(key)
        if same(old, new):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            patch[key] = _patch(old, new, (*path, key), emptied)
            if not new:
                emptied.append((*path, key))
        else:
            patch[key] = new
    return patch


def same(one: JsonValue | Missing, other: JsonValue | Missing) -> bool:
    """Tell whether two values have the same types and values: 1, 1.0 and true are three."""
    return next(differences(one, other), None) is None


def differences(
    expected: JsonValue | Missing, actual: JsonValue | Missing, path: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """Yield every place where two documents differ in type or value; arrays compare whole."""
    if type(expected) is not type(actual):
        yield Difference(path, expected, actual)
    elif isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected | actual:
            yield from differences(
                expected.get(key, MISSING), actual.get(key, MISSING), (*path, key)
            )
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual) or not all(map(same, expected, actual)):
            yield Difference(path, expected, actual)
    elif expected != actual:
        yield Difference(path, expected, actual)


def equal_by_value(one: JsonValue | Missing, other: JsonValue | Missing) -> bool:
    """Compare as a delta does: 1 equals 1.0, and numbers equal within a 32-bit float do too."""
    if _is_number(one) and _is_number(other):
        return one == other or _single(one) == _single(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_by_value, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal_by_value(one[k], other[k]) for k in one)
    return same(one, other)


def _is_number(value: JsonValue | Missing) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _single(number: JsonValue | Missing) -> bytes | JsonValue | Missing:
    """Return the 32-bit float that a small device would hold, or what does not fit one."""
    if not isinstance(number, int | float):
        return number
    try:
        return struct.pack("<f", number)
    except OverflowError:
        return number
