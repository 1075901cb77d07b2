"""A Mosquitto that is killed and comes back as its kind does."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import Final

from benchmarks.client import open_client
from benchmarks.processes import ProcessEndedError
from benchmarks.torture.plan import BrokerKind
from tests.support.mosquitto import Mosquitto

_COMMON: Final = ("max_inflight_messages 1000", "max_queued_messages 100000")

CHANGES_LOST_AT_MOST: Final = 200
"""After so many changes a broker that saves them does so; at each one, it could do nothing else."""


class TorturedBroker:
    """One broker process after another on the same port.

    Args:
        directory: Of its configuration, log and what it saves.
        kind: How it comes back.

    Attributes:
        kills: How often it was killed.
    """

    def __init__(self, directory: Path, kind: BrokerKind) -> None:
        self.kills = 0
        self._kind = kind
        self._saved = directory / "mosquitto.db"
        self._older = directory / "older-snapshot"
        extra = list(_COMMON)
        if kind in ("saved", "snapshot"):
            extra += ["persistence true", f"persistence_location {directory}/"]
        if kind == "saved":
            extra += ["autosave_on_changes true", f"autosave_interval {CHANGES_LOST_AT_MOST}"]
        elif kind == "snapshot":
            extra += ["autosave_interval 0"]
        self._mosquitto = Mosquitto(directory, extra="\n".join(extra))

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self._mosquitto.port

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        await asyncio.to_thread(self._mosquitto.start)

    async def kill_and_start(self) -> None:
        """End it with SIGKILL, and start the next one from what its kind has left."""
        await asyncio.to_thread(self._mosquitto.kill)
        self.kills += 1
        if self._kind == "empty":
            self._mosquitto.forget()
        elif self._kind == "snapshot":
            self._go_back()
        await self.start()
        if self._kind == "snapshot":
            # What it holds a moment after its start is what it will come back with. It listens
            # before it has said what signals mean, and this one would end it until then.
            await (await open_client(self.port, "snapshot")).close()
            self.send(signal.SIGUSR1)

    def _go_back(self) -> None:
        """Start from the snapshot before the last one; a half-written one is not there yet."""
        if self._saved.exists():
            previous = self._older if self._older.exists() else None
            newest = self._saved.read_bytes()
            if previous is not None:
                shutil.copy(previous, self._saved)
            self._older.write_bytes(newest)

    def require_running(self) -> None:
        """Check that it runs.

        Raises:
            ProcessEndedError: It has ended by itself.
        """
        if self._mosquitto.status is not None:
            raise ProcessEndedError(f"the broker ended by itself with {self._mosquitto.status}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        os.kill(self._mosquitto.pid, number)

    async def stop(self) -> None:
        """End it."""
        await asyncio.to_thread(self._mosquitto.stop)
