"""The quarantine: refused messages that could not be answered, bounded by count and by bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from bridge.store.base import StoreLimits
from bridge.store.quarantined import EVERYTHING, QuarantinedMessage, QuarantineFilter

TABLE: Final = (
    # The payload stands last, so that what looks for a device or a reason does not read payloads.
    """
    CREATE TABLE quarantined_message (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        device TEXT NOT NULL,
        writer TEXT NOT NULL,
        error TEXT NOT NULL,
        code INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        withheld TEXT NOT NULL,
        topic TEXT NOT NULL,
        message TEXT NOT NULL,
        payload BLOB NOT NULL
    ) STRICT
    """,
    """
    INSERT INTO quarantined_message
        (id, at, device, writer, error, code, size_bytes, withheld, topic, message, payload)
    SELECT id, at, '', '', error, code, length(payload), '', topic, message, payload
    FROM quarantine
    """,
    "DROP TABLE quarantine",
    "ALTER TABLE quarantined_message RENAME TO quarantine",
)
"""Statements that make the table out of that of schema 1, which knew no senders."""

_INSERT: Final = """
    INSERT INTO quarantine
        (at, topic, payload, code, error, message, size_bytes, device, writer, withheld)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS: Final = (
    "at, topic, coalesce(substr(payload, 1, ?), x''), code, error, message, size_bytes, device, "
    "writer, withheld, id"
)
_WHOLE_PAYLOAD: Final = 2**30


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
        count, size_bytes = self._kept or self.count(EVERYTHING)
        rows = [self._row(message) for message in messages]
        self._connection.executemany(_INSERT, rows)
        count += len(rows)
        size_bytes += sum(len(payload) for _, _, payload, *_ in rows)
        self._kept = self._trim(count, size_bytes)

    def forget(self) -> None:
        """Count anew the next time, because the transaction was rolled back."""
        self._kept = None

    def read(
        self, limit: int, before: int | None, wanted: QuarantineFilter, payload_bytes: int | None
    ) -> list[QuarantinedMessage]:
        """Return messages, the newest first; see `Store.quarantine`."""
        condition, parameters = _condition(wanted)
        if before is not None:
            condition += " AND id < ?"
            parameters.append(before)
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE {condition} "  # noqa: S608 - no values
            "ORDER BY id DESC LIMIT ?",
            (_WHOLE_PAYLOAD if payload_bytes is None else payload_bytes, *parameters, limit),
        )
        return [QuarantinedMessage(*row) for row in rows]

    def find(self, message_id: int) -> QuarantinedMessage | None:
        """Return one message, None where there is none of that id."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?",  # noqa: S608 - names of columns
            (_WHOLE_PAYLOAD, message_id),
        ).fetchone()
        return None if row is None else QuarantinedMessage(*row)

    def count(self, wanted: QuarantineFilter) -> tuple[int, int]:
        """Return how many messages there are, and the bytes of their payloads that are kept."""
        condition, parameters = _condition(wanted)
        count, size_bytes = self._connection.execute(
            f"SELECT count(*), coalesce(sum(length(payload)), 0) FROM quarantine WHERE {condition}",  # noqa: S608 - no values
            parameters,
        ).fetchone()
        return count, size_bytes

    def clear(self, wanted: QuarantineFilter, limit: int) -> int:
        """Delete the oldest messages inside the caller's transaction; returns how many."""
        condition, parameters = _condition(wanted)
        self._kept = None
        return self._connection.execute(
            "DELETE FROM quarantine WHERE id IN ("  # noqa: S608 - no values
            f"SELECT id FROM quarantine WHERE {condition} ORDER BY id LIMIT ?)",
            (*parameters, limit),
        ).rowcount

    def _row(self, message: QuarantinedMessage) -> tuple[int, str, bytes, *tuple[str | int, ...]]:
        return (
            message.at,
            _text(message.topic),
            message.payload[: self._limits.quarantine_payload_bytes],
            message.code,
            message.error,
            _text(message.message),
            message.size_bytes,
            message.device,
            message.writer,
            message.withheld,
        )

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


def _condition(wanted: QuarantineFilter) -> tuple[str, list[str | int]]:
    """Return what stands behind WHERE, and its parameters."""
    parts = ["1"]
    parameters: list[str | int] = []
    for part, value in (
        ("device = ?", wanted.device),
        ("error = ?", wanted.error),
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
    ):
        if value is not None:
            parts.append(part)
            parameters.append(value)
    return " AND ".join(parts), parameters


def _text(text: str) -> str:
    # What cannot be written as UTF-8 must not make a whole batch fail.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
