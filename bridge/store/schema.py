"""What a store's file holds, which version of that it is, and how an older one is brought up.

The file says what it is in SQLite's header: `application_id` marks it as ours, `user_version`
counts the schema (https://sqlite.org/pragma.html#pragma_application_id).
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from bridge import __version__
from bridge.errors import StoreSchemaError
from bridge.store import (
    audit,
    claims,
    device_keys,
    dictionaries,
    fleet_changes,
    history,
    quarantine,
    tokens,
)
from bridge.store.connection import transaction

APPLICATION_ID = 0x53594E42
"""`SYNB` in ASCII."""

INSTANCE = "instance"
"""Fact: random identity of this store; another one after a restore."""

CREATED_AT = "created_at"
"""Fact: when it was made, in µs since the epoch."""

WRITTEN_BY = "written_by"
"""Fact: the version of the program that made this schema, for who meets it with an older one."""

_VERSION_1 = (
    """
    CREATE TABLE metadata (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    # The small columns stand first, so that scans for a time stop before the documents.
    """
    CREATE TABLE twin (
        id INTEGER PRIMARY KEY,
        device TEXT NOT NULL,
        name TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision > 0),
        version INTEGER NOT NULL CHECK (version >= 0),
        present INTEGER NOT NULL CHECK (present IN (0, 1)),
        at INTEGER NOT NULL,
        state BLOB NOT NULL,
        delta BLOB,
        internals BLOB NOT NULL,
        UNIQUE (device, name)
    ) STRICT
    """,
    # Counting the twins that exist then reads two small indexes, not the table.
    "CREATE INDEX twin_absent ON twin (id) WHERE present = 0",
    # A twin stands here as long as the broker has not acknowledged its version. Apart from the
    # twin, because then a mark touches no page of a large table: with 200,000 twins that makes
    # commits 1.6 times as fast as a column and a partial index.
    """
    CREATE TABLE outbox (
        twin_id INTEGER PRIMARY KEY REFERENCES twin,
        published_version INTEGER NOT NULL CHECK (published_version >= 0)
    ) STRICT
    """,
    """
    CREATE TABLE history (
        twin_id INTEGER NOT NULL REFERENCES twin,
        version INTEGER NOT NULL,
        at INTEGER NOT NULL,
        stamp INTEGER NOT NULL,
        writer TEXT NOT NULL,
        section TEXT NOT NULL,
        patch BLOB NOT NULL,
        previous BLOB NOT NULL,
        PRIMARY KEY (twin_id, version)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        topic TEXT NOT NULL,
        payload BLOB NOT NULL,
        code INTEGER NOT NULL,
        error TEXT NOT NULL,
        message TEXT NOT NULL
    ) STRICT
    """,
)

_VERSION_2 = (
    # Ids tell the order of arrival: only the oldest of a twin are ever deleted, never the newest.
    """
    CREATE TABLE conflict (
        id INTEGER PRIMARY KEY,
        twin_id INTEGER NOT NULL REFERENCES twin,
        version INTEGER NOT NULL,
        at INTEGER NOT NULL,
        section TEXT NOT NULL,
        path BLOB NOT NULL,
        policy TEXT NOT NULL,
        kept BLOB NOT NULL,
        kept_by TEXT NOT NULL,
        kept_stamp INTEGER NOT NULL,
        lost BLOB NOT NULL,
        lost_by TEXT NOT NULL,
        lost_stamp INTEGER NOT NULL
    ) STRICT
    """,
    # An index of SQLite ends in the row's id, so that this one gives a twin's entries in order.
    "CREATE INDEX conflict_of_twin ON conflict (twin_id)",
)

MIGRATIONS: Sequence[Sequence[str]] = (
    _VERSION_1,
    _VERSION_2,
    history.SCHEMA,
    tokens.TABLE,
    device_keys.SCHEMA,
    quarantine.TABLE,
    audit.TABLE,
    claims.SCHEMA,
    dictionaries.TABLE,
    fleet_changes.TABLES,
    device_keys.FORGOTTEN,
)
"""Statements that lead from the schema of that index to the next."""

SCHEMA_VERSION = len(MIGRATIONS)


class Content(Enum):
    """What a file was found to be."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"


def identify(connection: sqlite3.Connection, path: Path) -> Content:
    """Tell what the file is, without changing it.

    Raises:
        StoreSchemaError: It is not ours, or newer than this program.
        sqlite3.Error: It cannot be read.
    """
    try:
        application_id = _pragma(connection, "application_id")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_NOTADB:
            raise
        raise _not_ours(path, "it is not a SQLite database") from error
    found = _pragma(connection, "user_version")
    if application_id == APPLICATION_ID:
        return _of_schema(connection, path, found)
    has_tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    if application_id or found or has_tables:
        raise _not_ours(path, "it is the database of another program")
    return Content.EMPTY


def _of_schema(connection: sqlite3.Connection, path: Path, found: int) -> Content:
    if found <= SCHEMA_VERSION:
        return Content.CURRENT if found == SCHEMA_VERSION else Content.OLDER
    # Whatever else a later schema changes, this table stays as it is.
    row = connection.execute("SELECT value FROM metadata WHERE name = ?", (WRITTEN_BY,)).fetchone()
    writer = f"syncbridge {row[0]}" if row else "a newer syncbridge"
    raise StoreSchemaError(
        f"the store {path} has schema {found}, written by {writer}; "
        f"this is syncbridge {__version__}, which knows schemas up to {SCHEMA_VERSION}",
        hint="use that version or a later one, or restore a backup made before the upgrade",
    )


def _not_ours(path: Path, why: str) -> StoreSchemaError:
    return StoreSchemaError(
        f"{path} is not a store of syncbridge: {why}",
        hint="name another file with store.path",
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an empty file or an older schema to the present one, all or nothing.

    Raises:
        sqlite3.Error: It cannot be written.
    """
    with transaction(connection):
        found = _pragma(connection, "user_version")
        for statements in MIGRATIONS[found:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        if found == 0:
            write_fact(connection, INSTANCE, new_instance())
            write_fact(connection, CREATED_AT, str(time.time_ns() // 1000))
        write_fact(connection, WRITTEN_BY, __version__)


def new_instance() -> str:
    """Return a random identity for a store."""
    return uuid.uuid4().hex


def read_facts(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the metadata."""
    return dict(connection.execute("SELECT name, value FROM metadata"))


def write_fact(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Set one fact of the metadata."""
    connection.execute(
        "INSERT INTO metadata (name, value) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
