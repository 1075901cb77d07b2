"""Puts a prepared database in a store's place: at any moment one of both is there, whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import StoreCorrupt, StoreSchemaError, StoreUnavailable
from bridge.logs import get_logger
from bridge.store.connection import open_owner, translated
from bridge.store.files import sidecar, sync_directory, sync_file
from bridge.store.schema import APPLICATION_ID, read_facts

_log = get_logger("bridge.store")


def settle(path: Path) -> Mapping[str, str]:
    """Fold the write-ahead log of a store into its file, so that this file alone is the store.

    The caller holds the store's lock.

    Args:
        path: A file of ours of whatever schema, also a newer one; or an empty or missing file.

    Returns:
        The store's metadata; nothing where it is too damaged to be read.

    Raises:
        StoreSchemaError: It is not ours.
        StoreUnavailable: Another program has it open.
    """
    if not path.exists():
        return {}
    try:
        with (
            translated(path, "finishing the log of"),
            contextlib.closing(open_owner(path)) as connection,
        ):
            return _settle(connection, path)
    except StoreCorrupt as error:
        _log.warning("the store to be replaced is damaged; kept as it is", reason=error.message)
        return {}


def _settle(connection: sqlite3.Connection, path: Path) -> Mapping[str, str]:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    has_tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    if found != APPLICATION_ID and has_tables:
        raise StoreSchemaError(
            f"{path} is the database of another program, and stays as it is",
            hint="name another file, or move that one away",
        )
    facts = read_facts(connection) if has_tables else {}
    connection.execute("PRAGMA synchronous = FULL")
    mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    if mode != "delete":
        raise StoreUnavailable(
            f"the store {path} is open in another program",
            hint="end that program, for example a sqlite3 shell",
        )
    return facts


def put_in_place(prepared: Path, path: Path) -> None:
    """Replace a settled store by a prepared database, atomically and durably."""
    sync_file(prepared)
    for suffix in ("-wal", "-shm"):
        # Left only where the store could not be settled. A log applies to any file of its name.
        sidecar(path, suffix).unlink(missing_ok=True)
    prepared.replace(path)
    sync_directory(path.parent)


def keep_beside(path: Path) -> Path | None:
    """Give a settled store a second name, `<name>.before-restore-<UTC time>`.

    Returns:
        The second name, or None where there is no store.
    """
    if not path.exists():
        return None
    stem = f"{path.name}.before-restore-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    kept = path.with_name(stem)
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{stem}-{number}")
    for suffix in ("", "-wal"):
        if sidecar(path, suffix).exists():
            _link_or_copy(sidecar(path, suffix), sidecar(kept, suffix))
    sync_directory(path.parent)
    return kept


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # File systems such as FAT have no links.
        shutil.copy2(source, target)
        sync_file(target)
