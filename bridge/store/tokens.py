"""Tokens of the HTTP API, as they are kept: never the token itself, only its hash."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

TOKENS_KEPT = 10_000
"""Tokens: one for each person and program, and some that have expired."""

TABLE = (
    """
    CREATE TABLE token (
        id TEXT PRIMARY KEY,
        principal TEXT NOT NULL,
        hash BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER
    ) STRICT, WITHOUT ROWID
    """,
)
"""Statements that make the table."""

_COLUMNS = "id, principal, hash, created_at, expires_at"


class StoredToken(NamedTuple):
    """One token.

    Attributes:
        id: Names it, for people and for looking it up; no secret.
        principal: Whose it is, as the permissions name it.
        hash: SHA-256 of the whole token.
        created_at: When it was made, in µs since the epoch.
        expires_at: From when on it is not taken any more; None for never.
    """

    id: str
    principal: str
    hash: bytes
    created_at: int
    expires_at: int | None


def add_token(connection: sqlite3.Connection, token: StoredToken) -> bool:
    """Keep a token; False where as many are kept as may be."""
    (count,) = connection.execute("SELECT count(*) FROM token").fetchone()
    if count >= TOKENS_KEPT:
        return False
    connection.execute(
        f"INSERT INTO token ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - names of columns
        token,
    )
    return True


def list_tokens(connection: sqlite3.Connection) -> list[StoredToken]:
    """Return all tokens, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM token ORDER BY created_at DESC, id"  # noqa: S608
    )
    return [StoredToken(*row) for row in rows]


def find_token(connection: sqlite3.Connection, token_id: str) -> StoredToken | None:
    """Return a token, None where there is none of that id."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM token WHERE id = ?",  # noqa: S608
        (token_id,),
    ).fetchone()
    return None if row is None else StoredToken(*row)


def revoke_token(connection: sqlite3.Connection, token_id: str) -> bool:
    """Delete a token; False where there is none of that id."""
    return connection.execute("DELETE FROM token WHERE id = ?", (token_id,)).rowcount > 0
