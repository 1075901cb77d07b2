"""The audit trail: who did what to the bridge, when, and what came of it. Bounded.

A row is written in the transaction of its act where the act is one of the store's; otherwise
before the act takes effect. There are three ways in:

- `CommitBatch.acts`, for acts on twins,
- `write_acts` in the caller's own transaction, for tables of their own,
- `Store.record`, before an act that the store knows nothing of.

What clients do is bounded apart from what administrators do: whoever may delete twins, again and
again, must not be able to push out of the trail who gave them the right.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Via: TypeAlias = Literal["socket", "offline", "signal", "start", "http", "mqtt"]
"""How an act was asked for: administration of a running bridge, a command on a store that no bridge
held, a signal, the start of a bridge, the HTTP API, or a message."""

CLIENTS: Final = frozenset({"http", "mqtt"})
"""The ways of those who are no administrators."""

TABLE: Final = (
    """
    CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        is_client INTEGER NOT NULL CHECK (is_client IN (0, 1)),
        via TEXT NOT NULL,
        who TEXT NOT NULL,
        act TEXT NOT NULL,
        target TEXT NOT NULL,
        outcome TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT
    """,
    # An index of SQLite ends in the row's id, so that this one leads to the oldest of each kind.
    "CREATE INDEX audit_of_kind ON audit (is_client)",
)
"""Statements that make the table."""

DETAILS_CHARACTERS: Final = 2000
"""Longest details of one act."""

_COLUMNS: Final = "at, via, who, act, target, outcome, details, id"
_PRUNE: Final = """
    DELETE FROM audit WHERE is_client = ?1 AND id <= (
        SELECT id FROM audit WHERE is_client = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
"""


class AuditRow(NamedTuple):
    """One act.

    Attributes:
        at: When, in µs since the epoch.
        via: How it was asked for.
        who: The user of this machine, the principal, or the sender in a topic; empty where that
            cannot be known.
        act: What was done, such as `token.create`.
        target: On what, such as a twin's device and name, or a token's id.
        outcome: `done`, `unchanged`, or `refused` or `failed` and why.
        details: JSON of what else there is to say: an object, without secrets and payloads.
        id: Its place in the trail, given by the store; higher is newer.
    """

    at: int
    via: Via
    who: str
    act: str
    target: str = ""
    outcome: str = "done"
    details: str = "{}"
    id: int = 0


class AuditFilter(NamedTuple):
    """Which acts are meant: those to which all that is given applies.

    Attributes:
        act: Acts of this name, or, where it ends in a dot, of that kind.
        who: Done by this one.
        target: On this.
        since: Done at this time or later, in µs since the epoch.
        until: Done before this time.
    """

    act: str | None = None
    who: str | None = None
    target: str | None = None
    since: int | None = None
    until: int | None = None


ALL_ACTS: Final = AuditFilter()


def write_acts(connection: sqlite3.Connection, acts: Sequence[AuditRow], kept: int) -> None:
    """Add acts inside the caller's transaction; the oldest go where there are too many.

    Args:
        connection: The owner of the store.
        acts: What was done, the oldest first.
        kept: So many of clients are kept, and so many of administrators.
    """
    if not acts:
        return
    connection.executemany(
        "INSERT INTO audit (at, is_client, via, who, act, target, outcome, details) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row.at,
                row.via in CLIENTS,
                row.via,
                _text(row.who),
                row.act,
                _text(row.target),
                _text(row.outcome),
                _text(row.details),
            )
            for row in acts
        ],
    )
    for is_client in {row.via in CLIENTS for row in acts}:
        connection.execute(_PRUNE, (is_client, kept))


def read_acts(
    connection: sqlite3.Connection, limit: int, before: int | None, wanted: AuditFilter
) -> list[AuditRow]:
    """Return acts, the newest first; see `Store.audit`."""
    parts = ["1"]
    parameters: list[str | int] = []
    for part, value in (
        ("substr(act, 1, length(?)) = ?" if _is_kind(wanted.act) else "act = ?", wanted.act),
        ("who = ?", wanted.who),
        ("target = ?", wanted.target),
        ("at >= ?", wanted.since),
        ("at < ?", wanted.until),
        ("id < ?", before),
    ):
        if value is not None:
            parts.append(part)
            parameters += [value] * part.count("?")
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE {' AND '.join(parts)} "  # noqa: S608 - no values
        "ORDER BY id DESC LIMIT ?",
        (*parameters, limit),
    )
    return [AuditRow(*row) for row in rows]


def _is_kind(act: str | None) -> bool:
    return act is not None and act.endswith(".")


def _text(text: str) -> str:
    # What cannot be written as UTF-8 must not keep an act from being written down.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
