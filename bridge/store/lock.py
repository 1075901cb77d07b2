"""One process per store: a lock beside the file, with the holder's process id in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from bridge.errors import StoreError, StoreLocked

_PID_BYTES = 32
"""More than any process id has digits."""


class StoreLock:
    """Exclusive use of a store, from construction until `release` or the end of the process.

    The lock is the kernel's (flock(2)), so that nothing is left behind by a process that was
    killed. The file `<store>.lock` stays when the lock is released: deleting it would let two
    processes lock two files of the same name.

    Args:
        path: The store's file, which need not exist yet.

    Raises:
        StoreLocked: Another process, or another store object of this one, holds it.
        StoreError: The directory is missing or may not be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = lock_path(path)
        self._descriptor: int | None = _open(self.path)
        try:
            _lock(self._descriptor, path)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give it up. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> StoreLock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_path(path: Path) -> Path:
    """Return the lock's file. Links to the same store lead to the same lock."""
    resolved = path.resolve()
    return resolved.with_name(resolved.name + ".lock")


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise StoreError(
            f"the directory {path.parent} of the store does not exist",
            hint=f"create it: mkdir -p {path.parent}",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the lock {path} of the store cannot be written: {error.strerror}",
            hint=f"the bridge's user needs to write in {path.parent}",
        ) from error


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
        named = f"process {holder}" if holder.isdigit() else "another process"
        raise StoreLocked(
            f"the store {path} is held by {named}",
            hint="only one bridge can use a store: stop that one, or name another with store.path",
        ) from error
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be locked: {error.strerror}",
            hint="keep the store on a local file system",
        ) from error
