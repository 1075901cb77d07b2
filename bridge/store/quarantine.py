"""The quarantine: refused messages that could not be answered, bounded by count and by bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bridge.store.base import QuarantinedMessage, StoreLimits


class Quarantine:
    """Adds messages, and knows without counting how much is kept.

    Args:
        connection: The owner of the store: nobody else adds or deletes.
        limits: The bounds.
    """

    def __init__(self, connection: sqlite3.Connection, limits: StoreLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._kept: tuple[int, int] | None = None  # messages and bytes

    def add(self, messages: Sequence[QuarantinedMessage]) -> None:
        """Add messages inside the caller's transaction; the oldest go where there are too many."""
        if not messages:
            return
        count, size_bytes = self._kept or self._count()
        self._connection.executemany(
            "INSERT INTO quarantine (at, topic, payload, code, error, message) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [
                (m.at, _text(m.topic), m.payload, m.code, m.error, _text(m.message))
                for m in messages
            ],
        )
        count += len(messages)
        size_bytes += sum(len(message.payload) for message in messages)
        self._kept = self._trim(count, size_bytes)

    def forget(self) -> None:
        """Count anew the next time, because the transaction was rolled back."""
        self._kept = None

    def _count(self) -> tuple[int, int]:
        count, size_bytes = self._connection.execute(
            "SELECT count(*), coalesce(sum(length(payload)), 0) FROM quarantine"
        ).fetchone()
        return count, size_bytes

    def _trim(self, count: int, size_bytes: int) -> tuple[int, int]:
        limits = self._limits
        newest_gone = 0
        oldest_first = self._connection.execute(
            "SELECT id, length(payload) FROM quarantine ORDER BY id"
        )
        while count > limits.quarantine_messages or size_bytes > limits.quarantine_bytes:
            newest_gone, payload_bytes = oldest_first.fetchone()
            count -= 1
            size_bytes -= payload_bytes
        oldest_first.close()
        if newest_gone:
            self._connection.execute("DELETE FROM quarantine WHERE id <= ?", (newest_gone,))
        return count, size_bytes


def _text(text: str) -> str:
    # What cannot be written as UTF-8 must not make a whole batch fail.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
