"""Dictionaries of zstd: kept, because devices may send with an older one for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from bridge.core.topics import TwinKey

TABLE = (
    # `number` counts them: the largest is the current one.
    """
    CREATE TABLE dictionary (
        number INTEGER PRIMARY KEY,
        id INTEGER NOT NULL UNIQUE,
        created_at INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        content BLOB NOT NULL
    ) STRICT
    """,
)
"""Statements that make the table."""


class StoredDictionary(NamedTuple):
    """One dictionary.

    Attributes:
        id: As it stands in frames; random.
        created_at: When it was trained, in µs since the epoch.
        samples: Of how many payloads it was made.
        content: Of the format of RFC 8878 section 5.
    """

    id: int
    created_at: int
    samples: int
    content: bytes


class DictionaryStore(Protocol):
    """The part of a store that holds dictionaries; see `bridge.store.base.Store`."""

    def add(self, dictionary: StoredDictionary, kept: int) -> list[int]:
        """Make a dictionary the current one, durably; returns the ids of those beyond `kept`."""

    def list_all(self) -> list[StoredDictionary]:
        """Return all dictionaries, the current one first."""


def add_dictionary(
    connection: sqlite3.Connection, dictionary: StoredDictionary, kept: int
) -> list[int]:
    """Make a dictionary the current one.

    Args:
        connection: The store's.
        dictionary: The dictionary; one of the same id is replaced.
        kept: How many are kept, this one among them; the oldest go first.

    Returns:
        The ids of those that went.
    """
    connection.execute("DELETE FROM dictionary WHERE id = ?", (dictionary.id,))
    connection.execute(
        "INSERT INTO dictionary (id, created_at, samples, content) VALUES (?, ?, ?, ?)", dictionary
    )
    gone = connection.execute(
        "DELETE FROM dictionary WHERE number NOT IN "
        "(SELECT number FROM dictionary ORDER BY number DESC LIMIT ?) RETURNING id",
        (kept,),
    )
    return [number for (number,) in gone.fetchall()]


def list_dictionaries(connection: sqlite3.Connection) -> list[StoredDictionary]:
    """Return all dictionaries, the current one first."""
    rows = connection.execute(
        "SELECT id, created_at, samples, content FROM dictionary ORDER BY number DESC"
    )
    return [StoredDictionary(*row) for row in rows]


def sample_states(connection: sqlite3.Connection, count: int) -> Iterator[tuple[TwinKey, bytes]]:
    """Yield states of twins, spread evenly over the table; the newest ones of a small table.

    Not of devices that have a key: a dictionary is published in clear.
    """
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM twin").fetchone()
    step = max(1, highest // max(1, count))
    rows = connection.execute(
        "SELECT device, name, state FROM twin WHERE present = 1 AND id % ? = 0 "
        "AND device NOT IN (SELECT device FROM device_key) LIMIT ?",
        (step, count),
    )
    for device, name, state in rows:
        yield TwinKey(device, name), state
