"""The processes that are measured, and killed: brokers, bridges and other peers, on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

STOP_TIMEOUT_S: Final = 30.0
"""How long a process may take to end in good order."""

POLL_INTERVAL_S: Final = 0.02
"""How often it is looked at whether a process has ended; nothing reports that to asyncio."""

WATCH_INTERVAL_S: Final = 0.5
"""How often it is looked at while something else is awaited."""

LOG_TAIL_CHARACTERS: Final = 3000
"""What is shown of a log when its process has ended by itself."""

REPOSITORY: Final = Path(__file__).resolve().parent.parent

_UNBOUNDED_HISTORY: Final = "1000000"

Result = TypeVar("Result")


class ProcessEndedError(Exception):
    """A process that should run has ended by itself."""


class ChildProcess:
    """A Python module run as a child, again and again, and ended by its own process id.

    Args:
        module: Name and arguments, as after `python -m`.
        directory: Where it runs and its log lies.
        environment: Added to this process's own.
    """

    def __init__(
        self,
        module: Sequence[str],
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-m", *module]
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "log"
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self._environment = {**os.environ, "PYTHONPATH": path, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the child; raises `ProcessEndedError` where none runs."""
        if self._process is None:
            raise ProcessEndedError(f"{' '.join(self._command[1:])} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def require_running(self) -> None:
        """Check that it has not ended by itself.

        Raises:
            ProcessEndedError: It has; with the end of its log.
        """
        if self._process is None or self._process.poll() is None:
            return
        raise ProcessEndedError(
            f"{' '.join(self._command[1:])} ended by itself with {self._process.returncode}:\n"
            + self.log_text()[-LOG_TAIL_CHARACTERS:]
        )

    async def while_running(self, awaitable: Awaitable[Result]) -> Result:
        """Await something that cannot come about without this process.

        Raises:
            ProcessEndedError: It has ended by itself meanwhile.
        """
        future = asyncio.ensure_future(awaitable)
        try:
            while not future.done():
                self.require_running()
                await asyncio.wait({future}, timeout=WATCH_INTERVAL_S)
            return future.result()
        finally:
            future.cancel()

    def log_text(self) -> str:
        """Return what it has written to standard output and standard error."""
        return self._log.read_text(errors="replace")

    async def kill(self) -> None:
        """End it with SIGKILL.

        Raises:
            ProcessEndedError: It had ended by itself before.
        """
        self.require_running()
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in good order; idempotent.

        Raises:
            ProcessEndedError: It had ended by itself before, or did not end in good order.
        """
        self.require_running()
        status = await self._end(signal.SIGTERM)
        if status not in (None, 0, -signal.SIGTERM):
            raise ProcessEndedError(f"stopped with status {status}:\n{self.log_text()}")

    async def _end(self, with_signal: signal.Signals) -> int | None:
        process = self._process
        if process is None:
            return None
        process.send_signal(with_signal)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
            await asyncio.sleep(POLL_INTERVAL_S)
        self._process = None
        return process.returncode

    async def __aenter__(self) -> ChildProcess:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.stop()
        elif self._process is not None and self._process.poll() is None:
            await self._end(signal.SIGKILL)


def bridge_process(
    port: int,
    prefix: str,
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    profile_to: Path | None = None,
) -> ChildProcess:
    """Return a bridge with its store in `store.db` of a directory, not yet started.

    Its history is not bounded, as the checkers read it from the first change on.

    Args:
        port: The broker's, on loopback.
        prefix: Of all topics.
        directory: Where the store and the log lie.
        environment: Further settings.
        profile_to: Run it under the profiler, and write what that found here.
    """
    module = ["bridge"]
    if profile_to is not None:
        module = ["benchmarks.profiled_bridge", str(profile_to)]
    url = f"mqtt://127.0.0.1:{port}"
    options = ["--broker", url, "--prefix", prefix, "--store", str(directory / "store.db")]
    settings = {"SYNCBRIDGE_STORE_HISTORY_CHANGES": _UNBOUNDED_HISTORY, **(environment or {})}
    return ChildProcess([*module, "run", *options], directory, settings)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used with all its threads, on Linux.

    Raises:
        OSError: There is no such process, or no /proc.
    """
    stat = Path(f"/proc/{pid}/stat").read_text()
    # The name in parentheses may hold anything; what follows it is of fixed shape (proc(5)).
    fields = stat.rpartition(")")[2].split()
    user_ticks, system_ticks = int(fields[11]), int(fields[12])
    return (user_ticks + system_ticks) / os.sysconf("SC_CLK_TCK")
