"""Where targets that read files write their inputs."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path


def scratch_file(name: str) -> Path:
    """Return a file to write inputs to, in memory where the system has such a place."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
    directory = tempfile.mkdtemp(dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory) / name
