"""The delta: what `reported` still lacks of `desired` (design section 3)."""

from __future__ import annotations

import struct

from bridge.core.section import JsonObject, JsonValue

_FLOAT32 = struct.Struct("<f")


def outstanding(desired: JsonObject, reported: JsonObject) -> JsonObject:
    """Return every outstanding difference, as a part of `desired`; it shares objects with it."""
    delta: JsonObject = {}
    for name, wanted in desired.items():
        if isinstance(wanted, dict):
            actual = reported.get(name)
            if not isinstance(actual, dict):
                delta[name] = wanted
            elif part := outstanding(wanted, actual):
                delta[name] = part
        elif name not in reported or not is_satisfied(wanted, reported[name]):
            delta[name] = wanted
    return delta


def is_satisfied(wanted: JsonValue, actual: JsonValue) -> bool:
    """Tell whether a reported value is the desired one.

    Numbers are equal by value, and where one of them has a fraction part to lose also if both
    round to the same 32-bit float: a small device reports 21.3 as 21.299999. Whole numbers are
    compared exactly; a boolean is not a number; arrays and what is in them compare whole.
    """
    if isinstance(wanted, bool) or isinstance(actual, bool):
        return wanted is actual
    if isinstance(wanted, int | float) and isinstance(actual, int | float):
        if wanted == actual:
            return True
        either_is_float = isinstance(wanted, float) or isinstance(actual, float)
        return either_is_float and _as_float32(wanted) == _as_float32(actual)
    if isinstance(wanted, list) and isinstance(actual, list):
        return len(wanted) == len(actual) and all(map(is_satisfied, wanted, actual))
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return wanted.keys() == actual.keys() and all(
            is_satisfied(wanted[name], actual[name]) for name in wanted
        )
    return type(wanted) is type(actual) and wanted == actual


def _as_float32(number: float) -> bytes:
    try:
        return _FLOAT32.pack(number)
    except OverflowError:
        # Beyond the range of 32 bits: it is compared as it is.
        return repr(float(number)).encode()
