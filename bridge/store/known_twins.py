"""What the store's owner knows of twins' rows without asking SQLite: their ids and versions."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from bridge.core.topics import TwinKey

KNOWN_TWINS = 100_000
"""Twins whose rows are known at the same time: at most 50 MiB, and enough for those of a large
site that say something within a minute. All are forgotten when there are more."""

_FIND = "SELECT id, version FROM twin WHERE device = ? AND name = ?"


class KnownTwin(NamedTuple):
    """A twin's row: its id, and the version that is stored."""

    id: int
    version: int


class KnownTwins:
    """Rows of twins that were read or written lately. For one owner, who alone writes the file.

    A twin is looked up by its id in a third of the time that its device and name take, and that
    with each of the statements of a commit.

    Attributes:
        in_outbox: Ids that surely stand in the outbox.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[TwinKey, KnownTwin] = {}
        self.in_outbox: set[int] = set()

    def learn(self, key: TwinKey, row_id: int, version: int) -> None:
        """Remember what stands in a twin's row."""
        if len(self._rows) >= KNOWN_TWINS and key not in self._rows:
            self.forget()
        self._rows[key] = KnownTwin(row_id, version)

    def find(self, key: TwinKey) -> KnownTwin | None:
        """Return what stands in a twin's row, None where it has none."""
        known = self._rows.get(key)
        if known is None:
            row = self._connection.execute(_FIND, key).fetchone()
            if row is not None:
                self.learn(key, *row)
                known = KnownTwin(*row)
        return known

    def forget(self) -> None:
        """Forget everything, because a transaction was rolled back."""
        self._rows.clear()
        self.in_outbox.clear()
