"""Makes fleet changes go: writes what is due, and hears from commits who has converged.

What is decided is decided by `bridge.core.fleet_change`. Here devices in flight are looked up by
what was committed, so that a fleet that is silent costs nothing. Changes that neither write nor
wait are in the store only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, cast

from bridge import metrics
from bridge.api.acting import Actor, act
from bridge.api.fleet_changes import FleetOrder, no_such_change, refused
from bridge.core.fleet_change import FINISHED, GOING, FleetChange
from bridge.core.fleet_plan import TargetState
from bridge.core.limits import Limits
from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt, StoreError
from bridge.logs import RateLimited
from bridge.service.connected_time import ConnectedTime
from bridge.service.fleet_making import check_patch, find_targets, make_change
from bridge.service.fleet_record import FleetRecord
from bridge.service.fleet_writer import FleetWriter
from bridge.service.guard import Guard
from bridge.service.store_thread import StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.store.audit import AuditRow
from bridge.store.base import Store
from bridge.store.fleet_changes import CHANGES_KEPT, StoredFleetChange, StoredTarget

CHANGES_AT_WORK: Final = 8
"""Fleet changes at the same time: each has its devices in memory."""

JUDGE_INTERVAL_S: Final = 0.1
"""Devices that answer within this time of one another are noted in one transaction."""

RETRY_S: Final = 1.0
"""How long to wait where the store cannot be written."""

TARGETS_PER_PAGE: Final = 5000
"""Devices of a change that are read at once, so that commits get their turn."""

JUDGED_AT_ONCE: Final = 500
"""Devices that are judged at once: everything else waits for it, some ms with ordinary twins."""

STATES_KEPT: Final = 5000
"""Committed states that wait in memory to be judged; further ones are read from the store."""

_DONE: Final = {"pause": "paused", "resume": "resumed", "undo": "undone"}


class FleetChanges:
    """The fleet changes of a bridge; see `bridge.api.fleet_changes.FleetControl`.

    Args:
        store: The store.
        writer: Writes to devices.
        limits: Bounds on patches.
        guard: Knows the permissions; None where everyone may do everything.
        clock: The bridge's clock, in µs since the epoch.
        counters: What has happened.
        log: For what goes wrong again and again.
        wake: Called where something has become due earlier.
    """

    def __init__(
        self,
        store: StoreThread,
        writer: FleetWriter,
        limits: Limits,
        guard: Guard | None,
        clock: Callable[[], int],
        counters: metrics.Counters,
        log: RateLimited,
        wake: Callable[[], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._limits = limits
        self._guard = guard
        self._clock = clock
        self._counters = counters
        self._log = log
        self._loop_time = asyncio.get_running_loop().time
        self._time = ConnectedTime(self._loop_time)
        self._wake = wake
        self._records: dict[str, FleetRecord] = {}
        self._watched: dict[TwinKey, dict[str, int]] = {}
        self._arrived: dict[TwinKey, bytes] = {}
        self._judge_at = 0.0
        self._retry_at: float | None = None
        self._is_closed = False
        # Whatever moves a change has it to itself.
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Take up the changes that were at work when the last process ended.

        Raises:
            StoreError: They cannot be read.
        """
        for row in await self._store.run(lambda store: store.fleet_changes.list_all()):
            if row.status in GOING:
                await self._take_up(row.id)

    def close(self) -> None:
        """Let those who wait for something to happen go."""
        self._is_closed = True
        for record in self._records.values():
            record.changed.set()

    def connected(self) -> None:
        """The connection stands: devices can be reached."""
        self._time.start()
        self._wake()

    def disconnected(self) -> None:
        """The connection is gone: nobody is written, and nobody's time goes on."""
        self._time.stop()

    def committed(self, publications: Sequence[TwinPublication]) -> None:
        """Take note of what was committed; called for every transaction."""
        watched = self._watched
        if not watched:
            return
        arrived = self._arrived
        for publication in publications:
            key = publication.key
            if key not in watched:
                continue
            if key in arrived or len(arrived) < STATES_KEPT:
                arrived[key] = publication.state
            else:
                for change_id, position in watched[key].items():
                    self._records[change_id].unread[position] = None
        if arrived:
            self._wake()

    def next_at(self, now: float) -> float | None:
        """Return when `act` is due, on the event loop's clock."""
        if self._retry_at is not None:
            return self._retry_at
        if any(record.unread for record in self._records.values()):
            return now
        times = [max(now, self._judge_at)] if self._arrived else []
        if self._time.is_running:
            here = self._time.now()
            due = (record.change.next_at(here) for record in self._records.values())
            times += [now + max(0.0, at - here) for at in due if at is not None]
        return min(times, default=None)

    async def act(self, now: float) -> None:
        """Judge, let time run out, and write; where the store cannot be written, try again."""
        self._retry_at = None
        self._judge_at = now + JUDGE_INTERVAL_S
        try:
            async with self._lock:
                self._judge()
                for record in tuple(self._records.values()):
                    await self._judge_unread(record)
                    await self._advance(record)
        except StoreCorrupt:
            raise
        except StoreError as error:
            self._retry_at = self._loop_time() + RETRY_S
            self._counters.add(metrics.COMMIT_FAILURES)
            self._log.warning(
                "a fleet change waits for the store", type(error).__name__, reason=error.message
            )

    def _judge(self) -> None:
        """Judge some devices by what was committed."""
        here = self._time.now()
        for key in [*islice(self._arrived, JUDGED_AT_ONCE)]:
            state = self._arrived.pop(key)
            for change_id, position in tuple(self._watched.get(key, {}).items()):
                self._judge_one(self._records[change_id], position, state, here)
        if len(self._arrived) >= JUDGED_AT_ONCE:
            self._judge_at = self._loop_time()

    async def _judge_unread(self, record: FleetRecord) -> None:
        """Judge some devices by what the store has of them."""
        positions = [*islice(record.unread, JUDGED_AT_ONCE)]
        if not positions:
            return
        # Before they are read: what is committed meanwhile is to be read once more.
        for position in positions:
            del record.unread[position]
        keys = [record.keys[position] for position in positions]
        try:
            loaded = await self._store.run(lambda store: store.load(keys))
        except StoreError:
            record.unread.update(dict.fromkeys(positions))
            raise
        here = self._time.now()
        for position, key in zip(positions, keys, strict=True):
            stored = loaded.get(key)
            if stored is not None:
                self._judge_one(record, position, stored.state, here)

    def _judge_one(self, record: FleetRecord, position: int, state: bytes, here: float) -> None:
        verdict = record.judged(position, state, here)
        if verdict is not None:
            self._counters.add(metrics.FLEET_TARGETS, verdict)
            if verdict != "timed_out":  # whose device may still come round
                self._unwatch(record.keys[position], record.row.id)

    async def _advance(self, record: FleetRecord) -> None:
        change = record.change
        if self._time.is_running:
            if not record.unread:  # else some of them may have answered long ago
                self._expire(record)
            self._settle(record)
            positions = change.due(self._time.now())
            if positions:
                # Nobody's answer may come before it is looked for.
                for position in positions:
                    self._watch(record, position)
                for note in await self._writer.write(record, positions):
                    change.move(note.position, note.state, self._time.now())
                    self._counters.add(metrics.FLEET_TARGETS, note.state)
                    if note.state != "in_flight":
                        self._unwatch(record.keys[note.position], record.row.id)
        self._settle(record)
        await self._keep(record)

    def _expire(self, record: FleetRecord) -> None:
        for position in record.change.expire(self._time.now()):
            self._counters.add(metrics.FLEET_TARGETS, "timed_out")
            record.note(position, "timed_out")

    def _settle(self, record: FleetRecord) -> None:
        change, before = record.change, record.change.status
        change.settle()
        if change.status == "halted" != before:
            record.why = record.halting()
            self._log.warning(
                "a fleet change has halted", record.row.id, id=record.row.id, reason=record.why
            )

    async def _keep(self, record: FleetRecord, act: AuditRow | None = None) -> None:
        """Bring the store up to date, and let go of what does not go on by itself."""
        row = record.present(self._clock())
        before = record.row._replace(revision=row.revision, changed_at=row.changed_at)
        if record.notes or row != before:
            # What was noted and then undone is in the store as undone already.
            states = record.change.states
            notes = tuple(note for note in record.notes if note.state == states[note.position])
            await self._store.run(lambda store: store.fleet_changes.update(row, notes, act))
            record.tell(row)
        change = record.change
        if change.status not in GOING and not change.in_flight and not record.unread:
            del self._records[row.id]
            for key in record.keys:
                self._unwatch(key, row.id)

    def _watch(self, record: FleetRecord, position: int) -> None:
        self._watched.setdefault(record.keys[position], {})[record.row.id] = position

    def _unwatch(self, key: TwinKey, change_id: str) -> None:
        watching = self._watched.get(key)
        if watching is not None:
            watching.pop(change_id, None)
            if not watching:
                del self._watched[key]

    async def _take_up(self, change_id: str) -> FleetRecord | None:
        """Bring a change into memory; None where there is none."""
        row = await self._store.run(lambda store: store.fleet_changes.find(change_id))
        if row is None:
            return None
        keys, states = await self._read_targets(change_id)
        record = await asyncio.to_thread(FleetRecord, row, keys, states, self._time.now())
        self._records[change_id] = record
        if record.change.status not in FINISHED:
            for position, state in enumerate(record.change.states):
                if state in ("in_flight", "timed_out"):
                    self._watch(record, position)
                    record.unread[position] = None
            self._wake()
        return record

    async def _read_targets(self, change_id: str) -> tuple[list[TwinKey], list[TargetState]]:
        keys: list[TwinKey] = []
        states: list[TargetState] = []

        def read(store: Store) -> list[StoredTarget]:
            return store.fleet_changes.targets(change_id, len(keys) - 1, TARGETS_PER_PAGE)

        while page := await self._store.run(read):
            keys += [target.key for target in page]
            states += [cast("TargetState", target.state) for target in page]
        return keys, states

    async def start(self, order: FleetOrder, actor: Actor) -> StoredFleetChange:
        """Find the devices, keep the change, and begin; see `FleetControl.start`."""
        patch = check_patch(order.patch, self._limits)
        guard = self._guard if order.judged else None
        permissions = None if guard is None else guard.permissions
        held = await self._store.run(lambda store: store)
        now_us = self._clock()

        def make() -> tuple[StoredFleetChange, list[TwinKey]]:
            return make_change(order, patch, find_targets(held, order, permissions), now_us)

        row, keys = await asyncio.to_thread(make)
        if order.dry_run:
            return row
        async with self._lock:
            self._require_room()
            done = act(actor, "fleet.start", row.id, devices=len(keys))
            if not await self._store.run(lambda store: store.fleet_changes.add(row, keys, done)):
                raise refused(
                    409,
                    "too_many_changes",
                    f"{CHANGES_KEPT} fleet changes are kept already, and none of them has ended",
                )
            states = ["pending"] * len(keys)
            record = FleetRecord(row, keys, states, self._time.now())  # type: ignore[arg-type]
            self._records[row.id] = record
        self._wake()
        return row

    def _require_room(self) -> None:
        if len(self._records) >= CHANGES_AT_WORK:
            raise refused(
                409,
                "too_many_changes",
                f"{CHANGES_AT_WORK} fleet changes are at work already: wait for the end of one, "
                "or undo one",
            )

    async def pause(self, change_id: str, actor: Actor) -> StoredFleetChange:
        """Stop writing."""
        return await self._command(change_id, "pause", FleetChange.pause, actor)

    async def resume(self, change_id: str, actor: Actor) -> StoredFleetChange:
        """Go on after a pause or a halt."""
        return await self._command(change_id, "resume", FleetChange.resume, actor)

    async def undo(self, change_id: str, actor: Actor) -> StoredFleetChange:
        """Restore what was there before."""
        return await self._command(change_id, "undo", FleetChange.undo, actor)

    async def _command(
        self, change_id: str, name: str, command: Callable[[FleetChange], bool], actor: Actor
    ) -> StoredFleetChange:
        async with self._lock:
            record = self._records.get(change_id)
            if record is None:
                self._require_room()
                record = await self._take_up(change_id)
            if record is None:
                raise no_such_change(change_id)
            status, before = record.change.status, record.standing
            if not command(record.change):
                await self._keep(record)
                raise refused(
                    409,
                    "wrong_status",
                    f"the fleet change {change_id} is {status}: it cannot be {_DONE[name]}",
                )
            record.why = record.halting() if record.change.status == "halted" else ""
            try:
                await self._keep(record, act(actor, f"fleet.{name}", change_id))
            except StoreError:
                record.standing = before
                raise
            row = record.row
        self._wake()
        return row

    async def wait(
        self, change_id: str, revision: int, timeout_s: float
    ) -> StoredFleetChange | None:
        """Return a change when it is newer than a revision, or after a time."""
        record = self._records.get(change_id)
        if record is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while record.row.revision <= revision and not self._is_closed:
                        await record.changed.wait()
            return record.row
        return await self._store.run(lambda store: store.fleet_changes.find(change_id))
