"""RFC 7396, section 2, once more: written for the tests, from the pseudo-code of the standard."""

from __future__ import annotations

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
