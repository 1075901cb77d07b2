"""What a fleet change does to one section: whether it stands, is reported, and how to undo it.

A *leaf* of a merge patch is what stands at a path in it and is not an object with members: a
value, a removal (null), or an empty object. Whoever else writes to the section meanwhile writes to
other leaves or to the same; what belongs to whom is told leaf by leaf.
"""

from __future__ import annotations

from bridge.core.delta import outstanding
from bridge.core.difference import copy_object
from bridge.core.section import JsonObject, JsonValue, same


def stands(section: JsonObject, patch: JsonObject) -> bool:
    """Tell whether a section holds everything that a patch says."""
    for name, wanted in patch.items():
        if isinstance(wanted, dict) and wanted:
            inner = section.get(name, {})
            if not isinstance(inner, dict) or not stands(inner, wanted):
                return False
        elif not _is_set(section, name, wanted):
            return False
    return True


def is_reported(reported: JsonObject, patch: JsonObject) -> bool:
    """Tell whether a device reports what a patch desires: no delta is left of it."""
    return not outstanding(_without_removals(patch), reported)


def prior_of(section: JsonObject, patch: JsonObject) -> JsonObject:
    """Return what stands in a section where a patch is going to write.

    Returns:
        An object like the patch, with the present value at each of its leaves, null where nothing
        is. Where the patch puts an object in the place of a value, that value stands for it; what
        an empty object in the patch leaves as it is, is left out.
    """
    prior: JsonObject = {}
    for name, wanted in patch.items():
        present = section.get(name)
        inner = present if isinstance(present, dict) else None
        if inner is None and wanted and name not in section:
            inner = {}
        if isinstance(wanted, dict) and inner is not None:
            below = prior_of(inner, wanted)
            if below:
                prior[name] = below
        else:
            prior[name] = _copy(present)
    return prior


def restoring(section: JsonObject, patch: JsonObject, prior: JsonObject) -> tuple[JsonObject, bool]:
    """Return the patch that undoes another one where nobody else has written since.

    Args:
        section: What is there now.
        patch: What was written.
        prior: What was there before it; see `prior_of`.

    Returns:
        The patch, empty where nothing is to be restored; and whether everything is still as it was
        written: otherwise somebody else's writes are left alone.
    """
    undo: JsonObject = {}
    is_whole = True
    for name, written in patch.items():
        if name not in prior:
            continue
        before = prior[name]
        if isinstance(written, dict) and written and isinstance(before, dict):
            inner = section.get(name, {})
            if not isinstance(inner, dict):
                is_whole = False
                continue
            below, inner_is_whole = restoring(inner, written, before)
            is_whole = is_whole and inner_is_whole
            if below:
                undo[name] = below
        elif same(before, written):
            continue
        elif _is_as_written(section, name, written):
            undo[name] = _copy(before)
        else:
            is_whole = False
    return undo, is_whole


def _is_as_written(section: JsonObject, name: str, written: JsonValue) -> bool:
    if not isinstance(written, dict) or not written:
        return _is_set(section, name, written) and section.get(name) == written
    return same(section.get(name), _without_removals({name: written}).get(name))


def _is_set(section: JsonObject, name: str, wanted: JsonValue) -> bool:
    if wanted is None:
        return name not in section
    if isinstance(wanted, dict):
        return isinstance(section.get(name), dict)
    return name in section and same(section[name], wanted)


def _without_removals(patch: JsonObject) -> JsonObject:
    """Return what a patch sets; objects of which nothing is left are left out."""
    found: JsonObject = {}
    for name, wanted in patch.items():
        if isinstance(wanted, dict) and wanted:
            inner = _without_removals(wanted)
            if inner:
                found[name] = inner
        elif wanted is not None:
            found[name] = wanted
    return found


def _copy(value: JsonValue) -> JsonValue:
    return copy_object(value) if isinstance(value, dict) else value
