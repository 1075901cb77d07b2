"""The history's table: a commit appends one block for each twin that it changes.

Blocks lie in the table one behind the other, whosever they are, so that a commit fills few pages;
an index finds those of a twin. With a row for each change, in the order of the twins, each row of
a large fleet was a page of its own to be written: this takes a half to a fifth of the time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import HistoryBlock, HistoryRow, StoreLimits
from bridge.store.history_codec import last_version, rows_of
from bridge.store.known_twins import KnownTwins

PRUNE_EVERY_VERSIONS = 64
"""A twin's history is cut when its version passes a multiple of this: the price is paid rarely."""

SCHEMA = (
    """
    CREATE TABLE history_block (
        id INTEGER PRIMARY KEY,
        twin_id INTEGER NOT NULL REFERENCES twin,
        version INTEGER NOT NULL,
        at INTEGER NOT NULL,
        changes BLOB NOT NULL
    ) STRICT
    """,
    # Before there were blocks, each change had a row.
    """
    INSERT INTO history_block (twin_id, version, at, changes)
    SELECT twin_id, version, at, CAST(
        '[' || version || ',' || at || ',' || stamp || ',' || json_quote(writer) || ','
        || json_quote(section) || ',' || CAST(patch AS TEXT) || ',' || CAST(previous AS TEXT) || ']'
        AS BLOB)
    FROM history ORDER BY at
    """,
    "DROP TABLE history",
    "CREATE UNIQUE INDEX history_of_twin ON history_block (twin_id, version)",
)
"""`version` is the first of the block's, `at` the time of its last."""

_INSERT = "INSERT INTO history_block (twin_id, version, at, changes) VALUES (?, ?, ?, ?)"

# The last block that begins at or below the oldest version that is kept stays, whole; and by age,
# the first that ends late enough. Versions and times grow together, so that this looks at no more
# rows than it deletes, and two.
_PRUNE = """
    DELETE FROM history_block WHERE twin_id = ?1 AND version < max(
        coalesce((SELECT max(version) FROM history_block WHERE twin_id = ?1 AND version <= ?2), 0),
        coalesce((SELECT version FROM history_block
                  WHERE twin_id = ?1 AND at >= ?3 ORDER BY version LIMIT 1), 0))
"""


def write_history(
    connection: sqlite3.Connection,
    blocks: Sequence[HistoryBlock],
    known: KnownTwins,
    limits: StoreLimits,
) -> None:
    """Add changes, and cut the histories whose turn it is; the caller holds the transaction.

    Raises:
        StoreError: A change belongs to no kept twin.
    """
    if not blocks or not limits.history_changes:
        return
    columns = []
    due = []
    for key, version, at, changes in blocks:
        row = known.find(key)
        if row is None:
            raise StoreError(
                f"a change was to be kept of the twin {key}, which is not kept",
                hint="this is an error in the program: please report it",
            )
        columns.append((row.id, version, at, changes))
        last = last_version(changes)
        if last // PRUNE_EVERY_VERSIONS != (version - 1) // PRUNE_EVERY_VERSIONS:
            oldest_kept = last - limits.history_changes + 1
            due.append((row.id, oldest_kept, at - limits.history_age_us))
    # In the order of the index: a page of it is then found once for all its rows.
    columns.sort()
    connection.executemany(_INSERT, columns)
    if due:
        connection.executemany(_PRUNE, due)


def read_history(
    connection: sqlite3.Connection, key: TwinKey, below_version: int | None, limit: int
) -> list[HistoryRow]:
    """Return changes of one twin, the newest first.

    Raises:
        StoreCorrupt: A block cannot be read.
    """
    below = 2**63 - 1 if below_version is None else below_version
    blocks: Iterable[tuple[bytes]] = connection.execute(
        "SELECT changes FROM history_block "
        "WHERE twin_id = (SELECT id FROM twin WHERE device = ? AND name = ?) AND version < ? "
        "ORDER BY version DESC",
        (*key, below),
    )
    rows = (row for (changes,) in blocks for row in rows_of(key, changes) if row.version < below)
    return list(islice(rows, limit))


def all_history(connection: sqlite3.Connection) -> Iterator[HistoryRow]:
    """Yield all changes, twin by twin, the oldest first.

    Raises:
        StoreCorrupt: A block cannot be read.
    """
    blocks: Iterable[tuple[str, str, bytes]] = connection.execute(
        "SELECT twin.device, twin.name, history_block.changes FROM history_block "
        "CROSS JOIN twin ON twin.id = history_block.twin_id "
        "ORDER BY history_block.twin_id, history_block.version"
    )
    for device, name, changes in blocks:
        yield from reversed([*rows_of(TwinKey(device, name), changes)])
