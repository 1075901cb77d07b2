"""Files of a database: making them, putting them on the disk, and removing them."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.errors import StoreError

SIDECARS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database while it is open, or after a crash."""


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one.

    Raises:
        StoreError: The directory is missing or may not be written.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError as error:
        raise StoreError(
            f"the directory {path.parent} does not exist", hint=f"create it: mkdir -p {path.parent}"
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"write permission is needed for it and for {path.parent}",
        ) from error


def sync_file(path: Path) -> None:
    """Wait until the file's content is on the disk."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Wait until the directory's entries are on the disk: new, renamed and deleted files."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sidecar(path: Path, suffix: str) -> Path:
    """Return the path of one of SQLite's files beside a database."""
    return path.with_name(path.name + suffix)


def remove_database(path: Path) -> None:
    """Remove a database and what SQLite keeps beside it, as far as it exists."""
    for suffix in ("", *SIDECARS):
        sidecar(path, suffix).unlink(missing_ok=True)
