"""Watches the bridge's status, so that torture knows when it is there."""

from __future__ import annotations

import asyncio
import contextlib

import orjson

from device_sim.wire import Client, Connection


class StatusWatch:
    """An `Endpoint` that reads `{prefix}/$bridge/status`.

    Args:
        prefix: Of all topics.

    Attributes:
        said: What was last said.
        troubles: How often it said that the store cannot be written.
    """

    def __init__(self, prefix: str) -> None:
        self.said: dict[str, object] = {}
        self.troubles = 0
        self._topic = f"{prefix}/$bridge/status"
        self._arrived = asyncio.Event()

    def client(self) -> Client:
        """Return how to connect."""
        return Client("status-watch", ((self._topic, 1),), self._received)

    def up(self, connection: Connection) -> None:
        """Take a connection."""

    def down(self) -> None:
        """Wait for the next one: what it says is new."""
        self.said = {}

    def _received(self, topic: str, payload: bytes) -> None:  # noqa: ARG002
        if not payload:
            return
        said = orjson.loads(payload)
        store = said.get("store")
        if store is not None and store != self.said.get("store"):
            self.troubles += 1
        self.said = said
        self._arrived.set()

    @property
    def since(self) -> object:
        """Names the bridge's connection; None while it is offline."""
        return self.said.get("since") if self.said.get("online") else None

    async def wait_for_another(self, since: object, timeout_s: float) -> bool:
        """Wait until the bridge is online on another connection; False if it is not in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.since in (None, since):
                    self._arrived.clear()
                    await self._arrived.wait()
        return self.since not in (None, since)
