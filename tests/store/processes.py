"""Children of a test that hold a store, and die as a power cut would have them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]


class Child:
    """A Python process that runs a script of the project's root; killed at the end of the block.

    Args:
        script: Source; its arguments are in `sys.argv[1:]`.
        arguments: These arguments.
    """

    def __init__(self, script: str, *arguments: str | Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def line(self) -> str:
        """Wait for its next line; empty when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    def kill(self) -> list[str]:
        """End it with SIGKILL and return the lines that it had still written, the last whole."""
        self._process.kill()
        return self.rest()

    def rest(self) -> list[str]:
        """Wait for its end and return the lines that are left, whole ones only."""
        assert self._process.stdout is not None
        written = self._process.stdout.read().decode()
        self._process.wait()
        return written.split("\n")[:-1]

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


HOLD = """
import sys
from pathlib import Path
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
store = SqliteStore.open(Path(sys.argv[1]), limits=StoreLimits())
print("held", flush=True)
sys.stdin.read()
"""
"""Holds the store of its first argument until it is killed."""

COMMIT = """
import sys
from pathlib import Path
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.store.samples import blocks, change, twin
store = SqliteStore.open(Path(sys.argv[1]), limits=StoreLimits())
devices = [f"d{i}" for i in range(5)]
kept = store.load([twin(d).key for d in devices])
revision = max((t.revision for t in kept.values()), default=0)
print(revision, flush=True)
while True:
    revision += 1
    stale = store.commit(CommitBatch(
        twins=[twin(d, revision=revision) for d in devices],
        history=blocks(*(change(revision, d) for d in devices)),
        published=[(twin(d).key, revision - 1) for d in devices],
    ))
    assert not stale
    print(revision, flush=True)
"""
"""Commits five twins again and again, and says each revision when it is durable."""
