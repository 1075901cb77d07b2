"""The conflict log: the losers of concurrent writes, bounded for each twin by their count.

It is cut in the commit that adds to it, and only where that commit adds: one without conflicts
pays nothing, and one with conflicts pays for the twins that have them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import ConflictRow, StoreLimits

ConflictColumns: TypeAlias = tuple[int, int, str, bytes, str, bytes, str, int, bytes, str, int]

CONFLICT_COLUMNS = (
    "conflict.version, conflict.at, conflict.section, conflict.path, conflict.policy, "
    "conflict.kept, conflict.kept_by, conflict.kept_stamp, "
    "conflict.lost, conflict.lost_by, conflict.lost_stamp"
)

_INSERT = """
    INSERT INTO conflict (twin_id, version, at, section, path, policy, kept, kept_by, kept_stamp,
        lost, lost_by, lost_stamp)
    SELECT id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 FROM twin
    WHERE device = ?1 AND name = ?2
"""
# Looks at as many entries of an index as are kept, and then at those that go.
_PRUNE = """
    DELETE FROM conflict WHERE twin_id = ?1 AND id <= (
        SELECT id FROM conflict WHERE twin_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
"""
_ID = "(SELECT id FROM twin WHERE device = ? AND name = ?)"


def write_conflicts(
    connection: sqlite3.Connection, rows: Sequence[ConflictRow], limits: StoreLimits
) -> None:
    """Add entries, and cut the logs of their twins.

    Raises:
        StoreError: An entry belongs to no kept twin.
    """
    if not rows or not limits.conflicts:
        return
    by_twin: dict[TwinKey, list[ConflictRow]] = {}
    for row in rows:
        by_twin.setdefault(row.key, []).append(row)
    # What would be cut at once need not be written first.
    kept = [row for of_twin in by_twin.values() for row in of_twin[-limits.conflicts :]]
    written = connection.executemany(_INSERT, [(*row.key, *row[1:]) for row in kept])
    if written.rowcount != len(kept):
        raise StoreError(
            "a conflict was to be kept of a twin that is not kept",
            hint="this is an error in the program: please report it",
        )
    for key in by_twin:
        (twin_id,) = connection.execute(f"SELECT {_ID}", key).fetchone()
        connection.execute(_PRUNE, (twin_id, limits.conflicts))


def read_conflicts(
    connection: sqlite3.Connection, key: TwinKey | None, before: int | None, limit: int
) -> list[tuple[int, ConflictRow]]:
    """Return entries with their ids, the newest first; see `Store.conflicts`."""
    conditions = []
    parameters: list[str | int] = []
    if key is not None:
        conditions.append(f"conflict.twin_id = {_ID}")
        parameters += key
    if before is not None:
        conditions.append("conflict.id < ?")
        parameters.append(before)
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows: Iterable[tuple[int, str, str, *ConflictColumns]] = connection.execute(
        f"SELECT conflict.id, twin.device, twin.name, {CONFLICT_COLUMNS} "  # noqa: S608
        f"FROM conflict CROSS JOIN twin ON twin.id = conflict.twin_id {where}"
        "ORDER BY conflict.id DESC LIMIT ?",
        (*parameters, limit),
    )
    return [(row[0], ConflictRow(TwinKey(*row[1:3]), *row[3:])) for row in rows]
