"""Connections to SQLite: how they are set up, how they fail, and transactions.

Two kinds only. The *owner* writes and checkpoints; there is exactly one, because versions 3.7.0 to
3.51.2 of SQLite can corrupt a write-ahead log that two connections write or checkpoint at the same
moment (https://sqlite.org/wal.html#walresetbug). *Readers* are opened read-only: SQLite gives them
no way to do either, whatever its version, so that long reads need not stop the owner.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bridge.errors import StoreCorrupt, StoreError, StoreUnavailable
from bridge.logs import get_logger

BUSY_TIMEOUT_S = 5.0
"""How long another program's lock on the file is waited for, for example a shell's."""

CACHE_BYTES = 64 * 1024 * 1024
"""Most memory for pages: holds the indexes of a million twins."""

CHECKPOINT_PAGES = 4096
"""Pages of 4 KiB in the log before they are written back. Four times SQLite's own number: a page
that changes often is then written back less often. More lengthens the pause of that commit."""

WAL_BYTES = 64 * 1024 * 1024
"""A log that a long read made larger is cut to this size when it is reused."""

SQLITE_MIN = (3, 37, 0)
"""The first with STRICT tables."""

_UNAVAILABLE = {
    sqlite3.SQLITE_FULL: "free space on its disk",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for the bridge's user",
    sqlite3.SQLITE_IOERR: "see the system's log for errors of the disk",
    sqlite3.SQLITE_CANTOPEN: "the directory must be writable, and descriptors must be left",
    sqlite3.SQLITE_BUSY: "another program holds a lock on the file: end it",
    sqlite3.SQLITE_LOCKED: "another program holds a lock on the file: end it",
    sqlite3.SQLITE_NOMEM: "the machine has too little memory",
    sqlite3.SQLITE_PERM: "make the file writable for the bridge's user",
    sqlite3.SQLITE_PROTOCOL: "another program holds a lock on the file: end it",
    sqlite3.SQLITE_INTERRUPT: "the store was closed meanwhile",
}
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_PRIMARY_CODE = 0xFF  # the rest of SQLite's extended codes says where it happened

_log = get_logger("bridge.store")


def open_owner(path: Path) -> sqlite3.Connection:
    """Open the connection that may write; it makes the file if there is none.

    Raises:
        StoreError: The SQLite library is too old.
        sqlite3.Error: It cannot be opened.
    """
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise StoreError(
            f"the SQLite library is version {sqlite3.sqlite_version}, too old for the store",
            hint=f"it must be {'.'.join(map(str, SQLITE_MIN))} or newer",
        )
    # No statement here: the first one reads the file, which may be anything.
    return sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def make_durable(connection: sqlite3.Connection) -> None:
    """Set the owner up so that a commit that has returned is on the disk.

    Raises:
        StoreError: The file system cannot hold a write-ahead log.
        sqlite3.Error: It cannot be set up.
    """
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"the file system gives no write-ahead log to SQLite (it says {mode!r})",
            hint="keep the store on a local file system",
        )
    # Said for every connection: a library may have been built with another default.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    _set_cache(connection)


def make_fast(connection: sqlite3.Connection) -> None:
    """Set the owner up for a file that is thrown away whole if anything fails.

    Who wants to keep it has to put it on the disk: see `bridge.store.files.sync_file`.

    Raises:
        sqlite3.Error: It cannot be set up.
    """
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    _set_cache(connection)


def _set_cache(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA cache_size = {-CACHE_BYTES // 1024}")


def open_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what is done inside, or, where that fails, roll all of it back.

    It begins as a writer (BEGIN IMMEDIATE): a transaction that reads first and then writes can
    fail without waiting for the lock.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite has done so by itself after some errors, such as a full disk.
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        # The first error is the one to report; the next statement meets what is still wrong.
        _log.error("a transaction could not be rolled back", reason=str(error))


@contextlib.contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into the project's.

    Args:
        path: The store's file, for the message.
        doing: What is tried, for the message, as "committing".

    Raises:
        StoreUnavailable: It may work later.
        StoreCorrupt: The file is damaged.
        StoreError: Anything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path, doing) from error


def store_error(error: sqlite3.Error, path: Path, doing: str) -> StoreError:
    """Return the project's error for one of SQLite's."""
    # Errors of Python's module itself, such as the use of a closed connection, have no code.
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    message = f"{doing} the store {path} failed: {error} ({name})"
    if code in _UNAVAILABLE:
        return StoreUnavailable(message, hint=_UNAVAILABLE[code])
    if code in _CORRUPT:
        return StoreCorrupt(message, hint="run `syncbridge store check`, and restore a backup")
    return StoreError(message)
