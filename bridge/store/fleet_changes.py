"""Fleet changes as they are kept: each with the devices that it was made for.

What a change has done to a device is written in the transaction that changes the twin, so that
nobody is written twice and nobody is forgotten, wherever the process ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bridge.core.fleet_change import FINISHED
from bridge.core.fleet_plan import TargetState
from bridge.core.topics import TwinKey

CHANGES_KEPT = 100
"""Fleet changes that are kept. The oldest that has ended or halted goes for a new one."""

TABLES = (
    """
    CREATE TABLE fleet_change (
        id TEXT PRIMARY KEY,
        created_at INTEGER NOT NULL,
        principal TEXT NOT NULL,
        judged INTEGER NOT NULL CHECK (judged IN (0, 1)),
        query TEXT NOT NULL,
        patch BLOB NOT NULL,
        plan BLOB NOT NULL,
        targets INTEGER NOT NULL,
        status TEXT NOT NULL,
        stage INTEGER NOT NULL,
        excused INTEGER NOT NULL,
        why TEXT NOT NULL,
        progress BLOB NOT NULL,
        revision INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE fleet_target (
        change_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        device TEXT NOT NULL,
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        prior BLOB,
        why TEXT NOT NULL,
        PRIMARY KEY (change_id, position)
    ) STRICT, WITHOUT ROWID
    """,
)
"""Statements that make the tables."""

_COLUMNS = (
    "id, created_at, principal, judged, query, patch, plan, targets, status, stage, excused, why, "
    "progress, revision, changed_at"
)
_ENDED = ("halted", *sorted(FINISHED))


class StoredFleetChange(NamedTuple):
    """One fleet change.

    Attributes:
        id: Names it.
        created_at: When it was made, in µs since the epoch.
        principal: Who made it, and whose its writes are.
        judged: Its writes are held against the permissions.
        query: Which twins it was made for.
        patch: JSON: the merge patch for `desired`.
        plan: JSON: how it is to go, the members of `bridge.core.fleet_plan.FleetPlan`.
        targets: How many devices it has.
        status: Where it stands; see `bridge.core.fleet_change.Status`.
        stage: Index of the present stage.
        excused: Failures of that stage that were accepted.
        why: Why it halted or was paused; empty otherwise.
        progress: JSON: how many devices are in each state, stage by stage.
        revision: +1 for every time that anything of this has changed.
        changed_at: When that was the last time, in µs since the epoch.
    """

    id: str
    created_at: int
    principal: str
    judged: bool
    query: str
    patch: bytes
    plan: bytes
    targets: int
    status: str
    stage: int
    excused: int
    why: str
    progress: bytes
    revision: int
    changed_at: int


class StoredTarget(NamedTuple):
    """One device of a fleet change.

    Attributes:
        position: Its place in the change's order, from 0.
        key: The twin.
        state: What has become of it; see `bridge.core.fleet_plan.TargetState`.
        prior: JSON: what was there before, as `bridge.core.fleet_patch.prior_of` returns it; None
            where nothing was written.
        why: Why it was refused, skipped or kept; empty otherwise.
    """

    position: int
    key: TwinKey
    state: str
    prior: bytes | None
    why: str


class TargetNote(NamedTuple):
    """What has become of one device.

    Attributes:
        change_id: The change.
        position: The device's place in it.
        state: As in `StoredTarget`.
        prior: The same; None leaves what is kept.
        why: The same.
    """

    change_id: str
    position: int
    state: TargetState
    prior: bytes | None = None
    why: str = ""


class FleetChangeStore(Protocol):
    """The part of a store that holds fleet changes; see `bridge.store.base.Store`."""

    def add(self, change: StoredFleetChange, keys: Sequence[TwinKey]) -> bool:
        """Keep a fleet change with its devices, durably; the oldest that has ended may go.

        Returns:
            False where as many are kept as may be, and none of them has ended.
        """

    def list_all(self) -> list[StoredFleetChange]:
        """Return all fleet changes, the newest first."""

    def find(self, change_id: str) -> StoredFleetChange | None:
        """Return a fleet change by its id, or None."""

    def targets(
        self, change_id: str, after: int, limit: int, states: Sequence[str] = ()
    ) -> list[StoredTarget]:
        """Page through the devices of a fleet change in its order.

        Args:
            change_id: The change.
            after: The position of the last one of the page before; -1 for the first page.
            limit: At most so many.
            states: Only those in one of these states; all where none is given.
        """

    def update(self, change: StoredFleetChange, notes: Sequence[TargetNote] = ()) -> None:
        """Keep how a fleet change goes on, and what has become of its devices, durably."""


def add_change(
    connection: sqlite3.Connection, change: StoredFleetChange, keys: Sequence[TwinKey]
) -> bool:
    """Keep a change and its devices; see `FleetChangeStore.add`."""
    (count,) = connection.execute("SELECT count(*) FROM fleet_change").fetchone()
    if count >= CHANGES_KEPT and not _forget_oldest(connection):
        return False
    marks = ", ".join("?" * len(change))
    connection.execute(f"INSERT INTO fleet_change ({_COLUMNS}) VALUES ({marks})", change)  # noqa: S608
    connection.executemany(
        "INSERT INTO fleet_target (change_id, position, device, name, state, why) "
        "VALUES (?, ?, ?, ?, 'pending', '')",
        ((change.id, position, *key) for position, key in enumerate(keys)),
    )
    return True


def _forget_oldest(connection: sqlite3.Connection) -> bool:
    marks = ", ".join("?" * len(_ENDED))
    row = connection.execute(
        f"SELECT id FROM fleet_change WHERE status IN ({marks}) "  # noqa: S608 - question marks
        "ORDER BY created_at, id LIMIT 1",
        _ENDED,
    ).fetchone()
    if row is None:
        return False
    connection.execute("DELETE FROM fleet_target WHERE change_id = ?", row)
    connection.execute("DELETE FROM fleet_change WHERE id = ?", row)
    return True


def list_changes(connection: sqlite3.Connection) -> list[StoredFleetChange]:
    """Return all changes, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM fleet_change ORDER BY created_at DESC, id"  # noqa: S608
    )
    return [_change(row) for row in rows]


def find_change(connection: sqlite3.Connection, change_id: str) -> StoredFleetChange | None:
    """Return a change, None where there is none of that id."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM fleet_change WHERE id = ?",  # noqa: S608 - names of columns
        (change_id,),
    ).fetchone()
    return None if row is None else _change(row)


def _change(row: tuple[object, ...]) -> StoredFleetChange:
    change = StoredFleetChange(*row)  # type: ignore[arg-type]
    return change._replace(judged=bool(change.judged))


def read_targets(
    connection: sqlite3.Connection,
    change_id: str,
    after: int,
    limit: int,
    states: Sequence[str] = (),
) -> list[StoredTarget]:
    """Return a page of the devices of a change; see `FleetChangeStore.targets`."""
    marks = ", ".join("?" * len(states))
    among = f"AND state IN ({marks})" if states else ""
    rows = connection.execute(
        "SELECT position, device, name, state, prior, why FROM fleet_target "  # noqa: S608
        f"WHERE change_id = ? AND position > ? {among} ORDER BY position LIMIT ?",
        (change_id, after, *states, limit),
    )
    return [
        StoredTarget(position, TwinKey(device, name), state, prior, why)
        for position, device, name, state, prior, why in rows
    ]


def update_change(connection: sqlite3.Connection, change: StoredFleetChange) -> None:
    """Keep how a change goes on."""
    connection.execute(
        "UPDATE fleet_change SET status = ?, stage = ?, excused = ?, why = ?, progress = ?, "
        "revision = ?, changed_at = ? WHERE id = ?",
        (
            change.status, change.stage, change.excused, change.why, change.progress,
            change.revision, change.changed_at, change.id,
        ),
    )  # fmt: skip


def write_notes(connection: sqlite3.Connection, notes: Sequence[TargetNote]) -> None:
    """Keep what has become of devices."""
    if not notes:
        return
    connection.executemany(
        "UPDATE fleet_target SET state = ?3, prior = coalesce(?4, prior), why = ?5 "
        "WHERE change_id = ?1 AND position = ?2",
        notes,
    )


def pause_all(connection: sqlite3.Connection, why: str) -> None:
    """Pause every change that would go on by itself: it was restored from a backup."""
    connection.execute(
        "UPDATE fleet_change SET status = 'paused', why = ?, revision = revision + 1 "
        "WHERE status IN ('running', 'waiting')",
        (why,),
    )
