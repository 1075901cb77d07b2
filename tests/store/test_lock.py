"""The lock of a store, by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.errors import StoreLocked
from bridge.store.lock import StoreLock, lock_path


def test_lock_holds_the_process_id(tmp_path: Path) -> None:
    """Also after a holder whose id had more digits."""
    path = tmp_path / "store.db"
    lock_path(path).write_text("123456789012345\n")
    with StoreLock(path):
        assert lock_path(path).read_text() == f"{os.getpid()}\n"


def test_lock_is_exclusive_until_it_is_released(tmp_path: Path) -> None:
    """Releasing twice is nothing."""
    path = tmp_path / "store.db"
    lock = StoreLock(path)
    with pytest.raises(StoreLocked, match=f"held by process {os.getpid()} "):
        StoreLock(path)
    lock.release()
    lock.release()
    StoreLock(path).release()


def test_links_to_a_store_have_its_lock(tmp_path: Path) -> None:
    """Of the file, or of a directory above it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "store.db").touch()
    (tmp_path / "directory").symlink_to(tmp_path / "real")
    (tmp_path / "file.db").symlink_to(tmp_path / "real" / "store.db")
    with StoreLock(tmp_path / "real" / "store.db"):
        for alias in ("directory/store.db", "file.db"):
            with pytest.raises(StoreLocked):
                StoreLock(tmp_path / alias)


def test_holder_that_has_not_written_its_id_yet(tmp_path: Path) -> None:
    """Between taking the lock and writing the id there is a moment."""
    path = tmp_path / "store.db"
    with StoreLock(path):
        lock_path(path).write_text("")
        with pytest.raises(StoreLocked, match="held by another process"):
            StoreLock(path)
