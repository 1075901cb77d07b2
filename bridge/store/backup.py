"""Copies of a store: written completely under another name, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from bridge.errors import StoreError
from bridge.store.connection import translated
from bridge.store.files import make_private, remove_database, sync_directory, sync_file

STEP_PAGES = 1024
"""Pages of 4 KiB copied before other threads get their turn, and an end is looked for."""


def write_backup(source: sqlite3.Connection, target: Path, go_on: Callable[[], None]) -> None:
    """Copy what a connection sees to a new file, with SQLite's online backup.

    Args:
        source: In a read transaction, so that commits meanwhile do not start it anew.
        target: Must not exist.
        go_on: Called between steps; what it raises ends the copy.

    Raises:
        StoreError: The target exists or cannot be written.
        sqlite3.Error: The source cannot be read.
    """
    _refuse_existing(target)
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with translated(target, "writing a backup of it to"):
            copy_database(source, partial, go_on)
        sync_file(partial)
        _refuse_existing(target)
        os.rename(partial, target)  # noqa: PTH104 - Path.rename says the same less plainly
        sync_directory(target.parent)
    except OSError as error:
        raise StoreError(f"the backup {target} cannot be written: {error.strerror}") from error
    finally:
        remove_database(partial)


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise StoreError(
            f"the backup {target} exists already", hint="name a new file; none is overwritten"
        )


def copy_database(source: sqlite3.Connection, target: Path, go_on: Callable[[], None]) -> None:
    """Copy a database into an empty or missing file, which is then complete in itself.

    It is not on the disk yet: see `bridge.store.files.sync_file`.

    Raises:
        StoreError: The target cannot be made.
        sqlite3.Error: One of the two failed.
    """
    make_private(target)
    with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as connection:
        # Nobody reads it before it is complete, and a half copy is thrown away.
        connection.execute("PRAGMA synchronous = OFF")
        source.backup(connection, pages=STEP_PAGES, progress=lambda *_: go_on())
        # The copy says that it has a write-ahead log, as its source has. Without one it is a
        # single file that can be read from any medium.
        connection.execute("PRAGMA journal_mode = DELETE")
