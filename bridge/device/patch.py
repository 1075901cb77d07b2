"""Merge patches (RFC 7396): checked and composed before they are sent, applied when they come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bridge.core.limits import INTEGER_MAX, INTEGER_MIN, Limits
from bridge.device.payload import JsonObject, JsonValue


def checked(patch: Mapping[str, object], limits: Limits) -> JsonObject:
    """Return a copy of a patch that is plain JSON, so that the caller may change its own.

    Raises:
        ValueError: It holds something that no bridge takes; the message says where.
    """
    if not isinstance(patch, Mapping):
        raise ValueError(f"a patch is a dict, not {type(patch).__name__}")  # noqa: TRY004 (one class for all that is refused)
    return _object(patch, limits, 1, "")


def _object(members: Mapping[str, object], limits: Limits, depth: int, path: str) -> JsonObject:
    _check_depth(depth, limits, path)
    copy: JsonObject = {}
    for key, value in members.items():
        _check_key(key, limits, path)
        copy[str.__str__(key)] = _value(value, limits, depth, f"{path}.{key}" if path else key)
    return copy


def _value(value: object, limits: Limits, depth: int, path: str) -> JsonValue:
    match value:
        case None | bool():
            return value
        case int():
            if not INTEGER_MIN <= value <= INTEGER_MAX:
                raise ValueError(f"{path}: {value} does not fit into 64 bits signed")
            return int.__int__(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(
                    f"{path}: {value} has no JSON; report None where there is no value"
                )
            return float.__float__(value)
        case str():
            return str.__str__(value)
        case Mapping():
            return _object(value, limits, depth + 1, path)
        case list() | tuple():
            return _array(value, limits, depth + 1, path)
        case _:
            raise ValueError(f"{path}: {type(value).__name__} has no JSON")


def _array(values: Sequence[object], limits: Limits, depth: int, path: str) -> list[JsonValue]:
    _check_depth(depth, limits, path)
    return [_value(value, limits, depth, f"{path}[{i}]") for i, value in enumerate(values)]


def _check_depth(depth: int, limits: Limits, path: str) -> None:
    if depth > limits.depth:
        raise ValueError(f"{path}: more than {limits.depth} objects and arrays in one another")


def _check_key(key: object, limits: Limits, path: str) -> None:
    where = path or "the patch"
    if not isinstance(key, str):
        raise ValueError(f"{where}: the key {key!r} is not a string")  # noqa: TRY004
    if key.startswith("$"):
        raise ValueError(f"{where}: keys that start with $ are reserved, and {key!r} is one")
    if len(key.encode("utf-8", "replace")) > limits.key_bytes:
        raise ValueError(f"{where}: the key {key[:40]!r}… has more than {limits.key_bytes} bytes")


def count_keys(patch: JsonObject) -> int:
    """Count the members of a patch and of all objects in it, arrays' excepted."""
    nested = (count_keys(value) for value in patch.values() if isinstance(value, dict))
    return len(patch) + sum(nested)


def can_compose(earlier: JsonObject, later: JsonObject) -> bool:
    """Tell whether one patch can do what these two do, one after the other, to every twin.

    It cannot where the later one goes into an object that the earlier one replaces or removes
    (what the twin had there would come back), nor where one of them sets an object to `{}` and
    the other has members for it (that the object stays when it is emptied would be forgotten).
    """
    return all(
        _can_compose_values(earlier[key], value)
        for key, value in later.items()
        if key in earlier and isinstance(value, dict)
    )


def _can_compose_values(earlier: JsonValue, later: JsonObject) -> bool:
    if not isinstance(earlier, dict) or bool(earlier) != bool(later):
        return False
    return can_compose(earlier, later)


def compose_into(earlier: JsonObject, later: JsonObject) -> None:
    """Change the earlier patch into the composition of both. `can_compose` must hold."""
    for key, value in later.items():
        present = earlier.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            compose_into(present, value)
        else:
            earlier[key] = value


def apply_patch(target: JsonValue, patch: JsonObject) -> JsonObject:
    """Return what a patch makes of a value (RFC 7396, section 2); neither argument is changed.

    The outcome shares with both what is the same.
    """
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if isinstance(value, dict):
            result[key] = apply_patch(result.get(key), value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result
