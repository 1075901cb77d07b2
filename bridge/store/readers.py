"""Long reads beside the pipeline: each on a read-only connection and a snapshot of its own."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bridge.errors import StoreUnavailable
from bridge.store.connection import open_reader

END_TIMEOUT_S = 10.0
"""Longest wait for reads to end when the store is closed."""

_INTERRUPT_INTERVAL_S = 0.05


class Readers:
    """The reads under way on one store, in any threads.

    As long as one lasts, SQLite cannot reuse the write-ahead log, which grows by what is
    committed meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: set[sqlite3.Connection] = set()
        self._changed = threading.Condition()
        self._ending = False

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Open a connection that sees the store as it is now, until the end of the block.

        Raises:
            StoreUnavailable: The store is being closed.
            sqlite3.Error: It cannot be opened.
        """
        connection = open_reader(self._path)
        try:
            with self._changed:
                self.refuse_when_ending()
                self._open.add(connection)
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM metadata").fetchone()
            yield connection
        finally:
            # Closed before the owner can be, which clears away the log as the last one.
            with self._changed:
                connection.close()
                self._open.discard(connection)
                self._changed.notify_all()

    def refuse_when_ending(self) -> None:
        """Leave a read that SQLite itself cannot interrupt, because the store is being closed.

        Raises:
            StoreUnavailable: It is.
        """
        if self._ending:
            raise StoreUnavailable(f"the store {self._path} is being closed")

    def end(self) -> None:
        """Interrupt all reads and wait for their end, `END_TIMEOUT_S` at most."""
        deadline = time.monotonic() + END_TIMEOUT_S
        with self._changed:
            self._ending = True
            while self._open and time.monotonic() < deadline:
                # Again and again, because one call ends only the statement of that moment.
                for connection in self._open:
                    connection.interrupt()
                self._changed.wait(_INTERRUPT_INTERVAL_S)
