"""The bridge as a child process: it is killed, or dies where it was told to, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.processes import LOG_TAIL_CHARACTERS, REPOSITORY, ProcessEndedError
from benchmarks.torture.launch import Launch

STOP_TIMEOUT_S: Final = 30.0

ENDS_WITHIN_S: Final = 20.0
"""How long a bridge on a damaged store may take to say so and end."""

_STARTED: Final = b'"event": "started"'


class Victim:
    """One bridge after another on the same store.

    Args:
        port: Of the broker, or of what stands before it.
        prefix: Of all topics.
        directory: Where the store and the log lie.
        environment: Further settings.

    Attributes:
        store: The store's file.
        log: Its log.
        started: It has opened its store, and is at work.
    """

    def __init__(
        self, port: int, prefix: str, directory: Path, environment: Mapping[str, str]
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.store = directory / "store.db"
        self.log = directory / "bridge.log"
        self._directory = directory
        url = f"mqtt://127.0.0.1:{port}"
        self._arguments = [
            "run", "--broker", url, "--prefix", prefix, "--store", str(self.store),
        ]  # fmt: skip
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        self._environment = {**os.environ, "PYTHONPATH": path, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.started = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None:
            raise ProcessEndedError("the bridge is not running")
        return self._process.pid

    async def start(self, launch: Launch) -> None:
        """Start it."""
        command = [sys.executable, "-m", "benchmarks.torture.launcher", launch.encode()]
        # Through a pipe: a bound on the size of files must not meet the log.
        read, write = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*command, *self._arguments],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
            )
        finally:
            os.close(write)
        self._ended = asyncio.Event()
        self.started = asyncio.Event()
        self._reader = asyncio.create_task(self._read_log(read, self.started, self._ended))

    async def _read_log(self, read: int, started: asyncio.Event, ended: asyncio.Event) -> None:
        """Copy the log until the process has ended: then the pipe does."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(read, "rb"))
        try:
            with self.log.open("ab") as log:
                while data := await reader.read(65_536):
                    if _STARTED in data:
                        started.set()
                    log.write(data)
                    log.flush()
        finally:
            transport.close()
            ended.set()

    async def wait_until_started(self, timeout_s: float) -> bool:
        """Wait until it has opened its store, and can be asked; False if it has not in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.started.wait()
        return self.started.is_set()

    async def wait_until_dead(self, timeout_s: float) -> int | None:
        """Wait until it has ended by itself; returns its status, or None if it has not."""
        process = self._process
        if process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
            return await self._gone()
        return None

    def require_alive(self) -> None:
        """Check that it runs, or was killed.

        Raises:
            ProcessEndedError: It ended with a status of its own.
        """
        process = self._process
        status = None if process is None else process.poll()
        if status not in (None, -signal.SIGKILL):
            raise ProcessEndedError(f"the bridge ended by itself with {status}:\n{self.log_end()}")

    async def kill(self) -> None:
        """End it with SIGKILL; it may have died meanwhile, by that too.

        Raises:
            ProcessEndedError: It had ended in another way.
        """
        self.require_alive()
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in good order.

        Raises:
            ProcessEndedError: It did not.
        """
        self.require_alive()
        status = await self._end(signal.SIGTERM)
        if status not in (0, None):
            raise ProcessEndedError(f"the bridge stopped with {status}:\n{self.log_end()}")

    async def abandon(self) -> None:
        """End it, however it is."""
        if self._process is not None:
            self.send(signal.SIGCONT)
            await self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, if it is still there."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def limit_files(self, size_bytes: int) -> None:
        """Bound the size of its files, as a full disk does: -1 for no bound."""
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))

    def log_end(self) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return text[-LOG_TAIL_CHARACTERS:]

    async def _end(self, number: signal.Signals) -> int | None:
        process = self._process
        if process is None:
            return None
        self.send(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._ended.wait()
        except TimeoutError:
            process.kill()
        return await self._gone()

    async def _gone(self) -> int:
        process, reader = self._process, self._reader
        if process is None or reader is None:
            raise ProcessEndedError("the bridge is not running")
        await reader
        status = await asyncio.to_thread(process.wait)
        self._process = None
        return status
