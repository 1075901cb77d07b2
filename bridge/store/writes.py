"""What one commit writes; the caller holds the transaction.

A twin takes three statements: the outbox remembers the version that the broker still has, the row
gets its new content where it still has the revision that the caller knows, and the history gets
its row. Each runs for the whole batch before the next one begins (executemany).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TypeAlias

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import CommitBatch, HistoryRow, StoredTwin, StoreLimits

_Columns: TypeAlias = tuple[str | int | bytes | None, ...]

PRUNE_EVERY_VERSIONS = 64
"""A twin's history is cut when its version is a multiple of this: the price is paid rarely."""

_INSERT = """
    INSERT INTO twin (device, name, revision, version, present, at, state, delta, internals)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_INSERT_OUTBOX = """
    INSERT INTO outbox (twin_id, published_version)
    SELECT id, ?3 FROM twin WHERE device = ?1 AND name = ?2 AND version > ?3
"""
_UPDATE_OUTBOX = """
    INSERT INTO outbox (twin_id, published_version)
    SELECT id, version FROM twin WHERE device = ? AND name = ? AND version < ?
    ON CONFLICT DO NOTHING
"""
_UPDATE = """
    UPDATE twin SET revision = ?3, version = ?4, present = ?5, at = ?6, state = ?7, delta = ?8,
        internals = ?9
    WHERE device = ?1 AND name = ?2 AND revision = ?3 - 1 AND version <= ?4
"""
_INSERT_HISTORY = """
    INSERT INTO history (twin_id, version, at, stamp, writer, section, patch, previous)
    SELECT id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM twin WHERE device = ?1 AND name = ?2
"""
# By age: up to the first change that is young enough. Versions and times grow together, so that
# this looks at no more rows than it deletes, and one.
_PRUNE = """
    DELETE FROM history WHERE twin_id = ?1 AND version < max(?2, coalesce(
        (SELECT version FROM history WHERE twin_id = ?1 AND at >= ?3 ORDER BY version LIMIT 1), 0))
"""
_MARK_ALL = """
    DELETE FROM outbox WHERE twin_id =
        (SELECT id FROM twin WHERE device = ? AND name = ? AND version <= ?)
"""
_MARK_PART = """
    UPDATE outbox SET published_version = ?3
    WHERE twin_id = (SELECT id FROM twin WHERE device = ?1 AND name = ?2)
        AND published_version < ?3
"""
_ID = "SELECT id FROM twin WHERE device = ? AND name = ?"


class StaleTwins(Exception):
    """Some twins did not have the expected revision: the way out of the transaction."""


def write_twins(connection: sqlite3.Connection, twins: Sequence[StoredTwin]) -> None:
    """Insert and update twins.

    Raises:
        StaleTwins: Not all had the expected revision.
    """
    new = [_columns(twin) for twin in twins if twin.revision == 1]
    changed = [_columns(twin) for twin in twins if twin.revision != 1]
    if new:
        _write_all(connection, _INSERT, new)
        connection.executemany(
            _INSERT_OUTBOX, [(*t.key, t.published_version) for t in twins if t.revision == 1]
        )
    if changed:
        connection.executemany(
            _UPDATE_OUTBOX, [(*t.key, t.version) for t in twins if t.revision != 1]
        )
        _write_all(connection, _UPDATE, changed)


def _write_all(connection: sqlite3.Connection, statement: str, rows: Sequence[_Columns]) -> None:
    if connection.executemany(statement, rows).rowcount != len(rows):
        raise StaleTwins


def _columns(twin: StoredTwin) -> _Columns:
    key, revision, version, _, exists, at, state, delta, internals = twin
    return (*key, revision, version, exists, at, state, delta, internals)


def find_stale(connection: sqlite3.Connection, twins: Sequence[StoredTwin]) -> frozenset[TwinKey]:
    """Return the twins whose kept revision is not the expected one, after the rollback.

    Raises:
        StoreError: There is none, so that the batch contradicts itself.
    """
    stale = set()
    for twin in twins:
        row = connection.execute(
            "SELECT revision FROM twin WHERE device = ? AND name = ?", twin.key
        ).fetchone()
        if (row[0] if row else 0) != twin.revision - 1:
            stale.add(twin.key)
    if not stale:
        raise StoreError(
            f"a batch of {len(twins)} twins was refused: it would set a twin's version back, "
            "or names a twin twice",
            hint="this is an error in the program: please report it",
        )
    return frozenset(stale)


def write_history(
    connection: sqlite3.Connection, rows: Sequence[HistoryRow], limits: StoreLimits
) -> None:
    """Add changes, and cut the histories whose turn it is.

    Raises:
        StoreError: A change belongs to no kept twin.
    """
    if not rows or not limits.history_changes:
        return
    written = connection.executemany(_INSERT_HISTORY, [(*row.key, *row[1:]) for row in rows])
    if written.rowcount != len(rows):
        raise StoreError(
            "a change was to be kept of a twin that is not kept",
            hint="this is an error in the program: please report it",
        )
    for row in rows:
        if row.version % PRUNE_EVERY_VERSIONS == 0:
            _prune(connection, row, limits)


def _prune(connection: sqlite3.Connection, newest: HistoryRow, limits: StoreLimits) -> None:
    twin_id = connection.execute(_ID, newest.key).fetchone()[0]
    oldest_kept = newest.version - limits.history_changes + 1
    connection.execute(_PRUNE, (twin_id, oldest_kept, newest.at - limits.history_age_us))


def mark_published(connection: sqlite3.Connection, marks: Sequence[tuple[TwinKey, int]]) -> None:
    """Raise what the broker has acknowledged."""
    if not marks:
        return
    parameters = [(*key, version) for key, version in marks]
    done = connection.executemany(_MARK_ALL, parameters).rowcount
    if done != len(parameters):
        connection.executemany(_MARK_PART, parameters)


def is_empty(batch: CommitBatch) -> bool:
    """Tell whether there is nothing to write."""
    return not (
        batch.twins or batch.history or batch.quarantined or batch.published or batch.conflicts
    )
