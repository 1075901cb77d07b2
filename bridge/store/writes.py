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
from bridge.store.base import CommitBatch, StoredTwin
from bridge.store.known_twins import KnownTwins

_Columns: TypeAlias = tuple[str | int | bytes | None, ...]

_INSERT = """
    INSERT INTO twin (device, name, revision, version, present, at, state, delta, internals)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id
"""
_INSERT_OUTBOX = """
    INSERT INTO outbox (twin_id, published_version) VALUES (?, ?) ON CONFLICT DO NOTHING
"""
_UPDATE = """
    UPDATE twin SET revision = ?2, version = ?3, present = ?4, at = ?5, state = ?6, delta = ?7,
        internals = ?8
    WHERE id = ?1 AND revision = ?2 - 1 AND version <= ?3
"""
_MARK_ALL = "DELETE FROM outbox WHERE twin_id = ?"
_MARK_PART = """
    UPDATE outbox SET published_version = ?2 WHERE twin_id = ?1 AND published_version < ?2
"""


class StaleRows(Exception):
    """Some twins did not have the expected revision: the way out of the transaction."""


def write_twins(
    connection: sqlite3.Connection, twins: Sequence[StoredTwin], known: KnownTwins
) -> None:
    """Insert and update twins.

    Raises:
        StaleRows: Not all had the expected revision.
    """
    changed: list[_Columns] = []
    outdated: list[tuple[int, int]] = []
    for twin in twins:
        if twin.revision == 1:
            outdated += _insert(connection, twin, known)
            continue
        row = known.find(twin.key)
        if row is None:
            raise StaleRows
        row_id, version_before = row
        key, revision, version, _, exists, at, state, delta, internals = twin
        changed.append((row_id, revision, version, exists, at, state, delta, internals))
        if version != version_before:
            if row_id not in known.in_outbox:
                outdated.append((row_id, version_before))
            known.learn(key, row_id, version)
    if outdated:
        connection.executemany(_INSERT_OUTBOX, outdated)
        known.in_outbox.update(row_id for row_id, _ in outdated)
    if changed and connection.executemany(_UPDATE, changed).rowcount != len(changed):
        raise StaleRows


def _insert(
    connection: sqlite3.Connection, twin: StoredTwin, known: KnownTwins
) -> list[tuple[int, int]]:
    """Insert a twin; returns what the outbox must have of it."""
    key, revision, version, published, exists, at, state, delta, internals = twin
    columns = (*key, revision, version, exists, at, state, delta, internals)
    rows = connection.execute(_INSERT, columns).fetchall()
    if not rows:
        raise StaleRows
    row_id = rows[0][0]
    known.learn(key, row_id, version)
    return [(row_id, published)] if published < version else []


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


def mark_published(
    connection: sqlite3.Connection, marks: Sequence[tuple[TwinKey, int]], known: KnownTwins
) -> None:
    """Raise what the broker has acknowledged."""
    whole: list[tuple[int]] = []
    parts: list[tuple[int, int]] = []
    for key, version in marks:
        row = known.find(key)
        if row is None:
            continue
        if version < row.version:
            parts.append((row.id, version))
        else:
            whole.append((row.id,))
            known.in_outbox.discard(row.id)
    if whole:
        connection.executemany(_MARK_ALL, whole)
    if parts:
        connection.executemany(_MARK_PART, parts)


def is_empty(batch: CommitBatch) -> bool:
    """Tell whether there is nothing to write."""
    return not (
        batch.twins
        or batch.history
        or batch.quarantined
        or batch.published
        or batch.conflicts
        or batch.windows
        or batch.proven_keys
        or batch.acts
        or batch.targets
    )
