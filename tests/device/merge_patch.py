"""RFC 7396, section 2, once more: written for the tests, from the pseudo-code of the standard."""

from __future__ import annotations

import orjson

from bridge.device import JsonObject, JsonValue


def apply_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Return the target after a merge patch; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_patch(result.get(name), value)
    return result


def patch_between(before: JsonObject, after: JsonObject) -> JsonObject:
    """Return the merge patch that leads from one object to another."""
    patch: JsonObject = {name: None for name in before if name not in after}
    for name, new in after.items():
        old = before.get(name)
        if name in before and same(old, new):
            continue
        if isinstance(new, dict):
            patch[name] = patch_between(old if isinstance(old, dict) else {}, new)
        else:
            patch[name] = new
    return patch


def same(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two values have the same types and values: 1, 1.0 and true are three."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )
