"""Keeping a twin within its limits: its size, its fields, and what it remembers of removals."""

from __future__ import annotations

import json
from bisect import bisect_left

from bridge.core.cell import ENTRY_BYTES, cells_size_bytes
from bridge.core.limits import TOMBSTONES_PER_TWIN, Limits
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject, count_leaves
from bridge.core.tree import Merge
from bridge.core.twin import Twin
from bridge.core.update import Update

JSON_BYTES_PER_PAYLOAD_BYTE = 8
"""A payload byte becomes at most so many bytes of JSON: msgpack's small floats, escapes."""

PAYLOAD_BYTES_PER_FIELD = 2
"""A field takes at least so many bytes of a payload: in msgpack, a name and a value of one each."""


def apply_within_limits(twin: Twin, merge: Merge, update: Update, limits: Limits) -> Refusal | None:
    """Merge, unless the twin would grow past a limit; then leave it as it was."""
    patch, size_bytes = update.patch, update.size_bytes
    growth = JSON_BYTES_PER_PAYLOAD_BYTE * size_bytes
    bytes_at_most = twin.bytes_at_most + growth
    keys_at_most = twin.keys_at_most + size_bytes // PAYLOAD_BYTES_PER_FIELD
    if bytes_at_most > limits.twin_bytes:
        bytes_at_most = json_size(twin.document()) + growth
    if keys_at_most > limits.keys:
        keys_at_most = _count_keys(twin) + count_leaves(patch)
    if bytes_at_most > limits.twin_bytes or keys_at_most > limits.keys:
        refusal = _refusal_by_size(twin, merge, update, limits)
        if refusal is not None:
            return refusal
    if twin.section(update.section).rules is not None:
        refusal = _refusal_by_cells(twin, merge, update, growth, limits)
        if refusal is not None:
            return refusal
    merge.apply(patch, full=update.metadata.full)
    twin.bytes_at_most = bytes_at_most
    twin.keys_at_most = keys_at_most
    return None


def _refusal_by_size(twin: Twin, merge: Merge, update: Update, limits: Limits) -> Refusal | None:
    """Try the update on a copy of what is visible: the exact size decides."""
    trial = Twin(twin.key)
    trial.version, trial.at, trial.online = twin.version + 1, twin.now, twin.online
    trial.reported.value, trial.desired.value = twin.reported.value, twin.desired.value
    preview = merge.preview(update.patch, full=update.metadata.full)
    trial.section(update.section).value = preview.value
    size_bytes = json_size(trial.document())
    if size_bytes > limits.twin_bytes and size_bytes > json_size(twin.document()):
        return Refusal(
            413,
            "twin_too_large",
            f"the twin would be {size_bytes} bytes of JSON, the limit is {limits.twin_bytes}: "
            "remove fields (set them to null), or raise limits.twin_bytes",
        )
    keys = _count_keys(trial)
    if keys > limits.keys and keys > _count_keys(twin):
        return Refusal(
            413,
            "too_many_keys",
            f"the twin would have {keys} fields, the limit is {limits.keys}: "
            "remove fields (set them to null), or raise limits.keys",
        )
    return None


def _refusal_by_cells(
    twin: Twin, merge: Merge, update: Update, growth: int, limits: Limits
) -> Refusal | None:
    """Bound what policies keep beside what is visible: it takes room, although nobody sees it."""
    growth += _count_entries(update.patch) * (ENTRY_BYTES + len(update.writer))
    before = twin.cells_at_most
    if before is None or before + growth > limits.twin_bytes:
        before = cells_size_bytes(twin.reported.nodes) + cells_size_bytes(twin.desired.nodes)
    if before + growth > limits.twin_bytes:
        section = twin.section(update.section)
        preview = merge.preview(update.patch, full=update.metadata.full)
        growth = cells_size_bytes(preview.nodes) - cells_size_bytes(section.nodes)
        if growth > 0 and before + growth > limits.twin_bytes:
            return Refusal(
                413,
                "too_much_kept",
                f"what policies keep of the twin would be {before + growth} bytes, the limit is "
                f"{limits.twin_bytes}: set fields to null, or raise limits.twin_bytes",
            )
    twin.cells_at_most = before + growth
    return None


def _count_entries(patch: JsonObject) -> int:
    """Count what a patch may enter into cells: a value, or each element of an array."""
    total = 0
    for member in patch.values():
        if isinstance(member, dict):
            total += _count_entries(member)
        else:
            total += len(member) if isinstance(member, list) else 1
    return total


def _count_keys(twin: Twin) -> int:
    return count_leaves(twin.reported.value) + count_leaves(twin.desired.value)


def json_size(value: JsonObject) -> int:
    """Return the size of a JSON object as UTF-8 without white space, in bytes."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def expire_tombstones(twin: Twin, now: int, limits: Limits) -> None:
    """Forget tombstones that are too old, and the oldest where there are too many."""
    sections = [s for s in (twin.reported, twin.desired) if s.tombstones]
    for section in sections:
        forgotten = section.expire_tombstones(now - limits.tombstone_ttl_us, TOMBSTONES_PER_TWIN)
        twin.horizon = max(twin.horizon, forgotten)
    surplus = sum(len(section.tombstones) for section in sections) - TOMBSTONES_PER_TWIN
    if surplus <= 0:
        return
    arrivals = sorted(a for section in sections for a in section.tombstones.values())
    newest_to_go = arrivals[surplus - 1]
    ties = surplus - bisect_left(arrivals, newest_to_go)
    for section in sections:
        older = sum(arrival < newest_to_go for arrival in section.tombstones.values())
        same_age = sum(arrival == newest_to_go for arrival in section.tombstones.values())
        keep = len(section.tombstones) - older - min(ties, same_age)
        ties -= min(ties, same_age)
        twin.horizon = max(twin.horizon, section.expire_tombstones(0, keep))
