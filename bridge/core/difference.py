"""Documents compared: the merge patches that lead from one to the other (RFC 7396)."""

from __future__ import annotations

from bridge.core.section import JsonObject, JsonValue, Path, same


def copy_object(value: JsonObject) -> JsonObject:
    """Copy an object with the objects in it; arrays are never changed in place, and shared."""
    return {
        name: copy_object(member) if isinstance(member, dict) else member
        for name, member in value.items()
    }


def difference(before: JsonObject, after: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return the merge patches from `before` to `after` and back; sharing no object."""
    forward: JsonObject = {}
    backward: JsonObject = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            step_forward, step_backward = difference(old, new)
            if step_forward:
                forward[name], backward[name] = step_forward, step_backward
        elif not same(old, new):
            forward[name] = copy_object(new) if isinstance(new, dict) else new
            backward[name] = copy_object(old) if isinstance(old, dict) else old
    return forward, backward


def value_at(document: JsonObject, path: Path) -> JsonValue:
    """Return what stands at a path of keys; None where nothing does."""
    value: JsonValue = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
