"""Writes what a fleet change wants, between two batches, as any other writer's update.

The twins and what has become of the devices are committed together: whoever is written is known to
be written, wherever the process ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from bridge.core.fleet_patch import is_reported, prior_of, restoring, stands
from bridge.core.fleet_plan import TargetState
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Metadata, Update
from bridge.errors import TwinCorrupt
from bridge.logs import RateLimited
from bridge.service.effects import Effects
from bridge.service.fleet_record import FleetRecord
from bridge.service.pipeline import Pipeline
from bridge.service.store_thread import StoreThread
from bridge.service.transaction import Refused, StaleTwins
from bridge.store.fleet_changes import TargetNote

UNDOABLE: Final = ("converged", "in_flight", "overwritten", "timed_out")
"""States of devices of which something may have to be undone."""

_DELETED: Final = "the twin was deleted"
_OTHERS: Final = "somebody else has written since"


class FleetWriter:
    """Writes.

    Args:
        pipeline: Gives a turn between batches.
        store: Has what was there before.
        log: For twins that cannot be read.
    """

    def __init__(self, pipeline: Pipeline, store: StoreThread, log: RateLimited) -> None:
        self._pipeline = pipeline
        self._cache = pipeline.cache
        self._reconciler = pipeline.reconciler
        self._store = store
        self._log = log

    async def write(self, record: FleetRecord, positions: Sequence[int]) -> list[TargetNote]:
        """Write to the devices at some positions what is due there: the patch, or its undoing.

        Returns:
            What has become of each of them; it is on the disk.

        Raises:
            StoreError: Nothing took effect.
        """
        priors: dict[int, bytes | None] | None = None
        if record.change.status == "undoing":
            rows = await self._store.run(
                lambda store: store.fleet_changes.targets(
                    record.row.id, positions[0] - 1, len(positions), UNDOABLE
                )
            )
            priors = {row.position: row.prior for row in rows}
        return await self._pipeline.in_turn(lambda: self._write_all(record, positions, priors))

    async def _write_all(
        self,
        record: FleetRecord,
        positions: Sequence[int],
        priors: Mapping[int, bytes | None] | None,
    ) -> list[TargetNote]:
        """Write to all of them but those whose twins are damaged: for these nobody else waits."""
        damaged: dict[TwinKey, str] = {}
        while True:
            effects = Effects()

            def change(_refused: Refused, effects: Effects = effects) -> None:
                effects.targets += [
                    self._write_one(record, position, priors, damaged, effects)
                    for position in positions
                ]

            keys = {record.keys[position] for position in positions} - damaged.keys()
            try:
                await self._pipeline.transactions.run(keys, (), effects, change)
            except StaleTwins:
                continue
            except TwinCorrupt as error:
                damaged[TwinKey(error.device, error.name)] = str(error)
                self._log.warning(
                    "a fleet change leaves a twin out that is damaged",
                    record.row.id,
                    id=record.row.id,
                    reason=error.message,
                    hint=error.hint,
                )
                continue
            return effects.targets

    def _write_one(
        self,
        record: FleetRecord,
        position: int,
        priors: Mapping[int, bytes | None] | None,
        damaged: Mapping[TwinKey, str],
        effects: Effects,
    ) -> TargetNote:
        why = damaged.get(record.keys[position])
        if why is not None:
            state: TargetState = "refused" if priors is None else "kept"
            return TargetNote(record.row.id, position, state, None, why)
        if priors is None:
            return self._write(record, position, effects)
        return self._undo(record, position, priors.get(position), effects)

    def _write(self, record: FleetRecord, position: int, effects: Effects) -> TargetNote:
        change_id, key = record.row.id, record.keys[position]
        twin = self._cache.use(key).twin
        if not twin.exists:
            # A write would make it anew.
            return TargetNote(change_id, position, "skipped", None, _DELETED)
        prior = orjson.dumps(prior_of(twin.desired.value, record.patch))
        why = self._apply(record, twin, orjson.loads(record.row.patch), NO_METADATA, effects)
        if why:
            return TargetNote(change_id, position, "refused", None, why)
        if not stands(twin.desired.value, record.patch):
            why = "a policy, or a later write, keeps something else"
            return TargetNote(change_id, position, "overwritten", prior, why)
        if is_reported(twin.reported.value, record.patch):
            return TargetNote(change_id, position, "converged", prior)
        return TargetNote(change_id, position, "in_flight", prior)

    def _undo(
        self, record: FleetRecord, position: int, prior: bytes | None, effects: Effects
    ) -> TargetNote:
        change_id, key = record.row.id, record.keys[position]
        twin = self._cache.use(key).twin
        if not twin.exists:
            return TargetNote(change_id, position, "kept", None, _DELETED)
        before: JsonObject = orjson.loads(prior or b"{}")
        patch, is_whole = restoring(twin.desired.value, record.patch, before)
        if patch:
            why = self._apply(record, twin, patch, Metadata(seen=twin.version), effects)
            if why:
                return TargetNote(change_id, position, "kept", None, why)
        elif not is_whole:
            return TargetNote(change_id, position, "kept", None, _OTHERS)
        return TargetNote(
            change_id, position, "undone", None, "" if is_whole else f"in part: {_OTHERS}"
        )

    def _apply(
        self,
        record: FleetRecord,
        twin: Twin,
        patch: JsonObject,
        metadata: Metadata,
        effects: Effects,
    ) -> str:
        """Apply a patch to what is desired; returns why it was refused, or an empty text."""
        row, key = record.row, twin.key
        update = _update(key, row.principal, patch, metadata)
        outcome = self._reconciler.apply_order(key, update, effects, None, judged=row.judged)
        refusal = outcome.refusal
        return "" if refusal is None else f"{refusal.code} {refusal.error}: {refusal.message}"


def _update(key: TwinKey, writer: str, patch: JsonObject, metadata: Metadata) -> Update:
    payload = orjson.dumps(patch)
    return Update(key, "desired", writer, patch, metadata, payload, size_bytes=len(payload))
