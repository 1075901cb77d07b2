"""A restore that is killed leaves the old store or the new one, whichever moment it was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.store.sqlite import SqliteStore
from tests.store.processes import ROOT
from tests.store.samples import commit, twin


def test_restore_killed_at_any_step_leaves_a_whole_store(
    open_sqlite: Callable[..., SqliteStore], tmp_path: Path
) -> None:
    """Killed before each step on files in turn; the store had a log that was not folded in."""
    source = tmp_path / "source"
    source.mkdir()
    store = open_sqlite()
    devices = [f"d{i}" for i in range(20)]
    commit(store, [twin(device) for device in devices])
    store.backup(source / "backup")
    commit(store, [twin(device, revision=2) for device in devices])
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"store.db{suffix}", source / f"store.db{suffix}")
    store.close()
    program = [sys.executable, "-m", "tests.store.crash_restore", str(source)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
