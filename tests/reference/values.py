"""JSON values, as the design compares, merges and measures them; written anew, on purpose."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]


def same(one: Any, other: Any) -> bool:
    """Same JSON type and value: `true` is not 1, and 1 and 1.0 differ."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        if len(one) != len(other):
            return False
        for name, member in one.items():
            if name not in other or not same(member, other[name]):
                return False
        return True
    if kind is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2, as its pseudo-code says."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def without_hollows(value: Any) -> Any:
    """Drop objects in which nothing is: RFC 7396 leaves them where the twin does not."""
    if not isinstance(value, dict):
        return value
    kept = {name: without_hollows(member) for name, member in value.items()}
    return {name: member for name, member in kept.items() if member != {}}


def leaves(patch: dict[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the leaves of a patch: values, nulls, and empty objects."""
    for name, value in patch.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def value_at(document: Any, path: Path) -> Any:
    """Return what is at a path of a document; None if nothing is."""
    for name in path:
        if not isinstance(document, dict) or name not in document:
            return None
        document = document[name]
    return document


def outstanding(desired: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """The delta: each desired member that the reported one does not fulfil."""
    lacking = {}
    for name, wanted in desired.items():
        actual = reported.get(name)
        if isinstance(wanted, dict) and isinstance(actual, dict):
            part = outstanding(wanted, actual)
            if part:
                lacking[name] = part
        elif name not in reported or not fulfils(wanted, actual):
            lacking[name] = wanted
    return lacking


def fulfils(wanted: Any, actual: Any) -> bool:
    """Tell whether a reported value, no object, is as good as the desired one."""
    kinds = {type(wanted), type(actual)}
    if kinds <= {int, float}:
        return bool(wanted == actual) or (float in kinds and float32(wanted) == float32(actual))
    if kinds == {list}:
        return len(wanted) == len(actual) and all(map(fulfils, wanted, actual))
    if kinds == {dict}:
        # Objects within arrays compare whole.
        return wanted.keys() == actual.keys() and all(
            fulfils(wanted[name], actual[name]) for name in wanted
        )
    return same(wanted, actual)


def float32(number: float) -> float | None:
    """Return the nearest 32-bit float; the number itself beyond their range."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    except OverflowError:
        return float(number)
    return rounded
