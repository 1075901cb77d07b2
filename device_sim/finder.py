"""Asks a bridge for the versions of a fleet's twins before the fleet starts.

That answers two questions: whether a bridge is there at all, and how far each twin has come.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterable

from bridge.device import JsonObject
from bridge.errors import LinkLost, NotAnswered
from device_sim.payload import decode, encode
from device_sim.wire import Client, Connection, Network, Note

WINDOW = 200
"""Questions under way at a time: a broker's default queue for one client is 1,000."""

ASK_AGAIN_S = 1.0
"""A question is lost where the bridge has not subscribed yet."""


class Finder:
    """Finds the versions of twins.

    Args:
        network: To connect through.
        prefix: Of all topics.
        patience_s: How long the bridge may be silent.
    """

    def __init__(self, network: Network, prefix: str, patience_s: float) -> None:
        self._network = network
        self._prefix = prefix
        self._patience_s = patience_s
        self._requester = f"device-sim-{secrets.token_hex(4)}"
        self._versions: dict[str, int] = {}
        self._answer = asyncio.Event()

    async def find(self, devices: Iterable[str]) -> dict[str, int]:
        """Return the version of each device's twin, 0 where there never was one.

        Raises:
            ConnectRefused: The broker cannot be reached, or refused the connection.
            LinkLost: The connection ended meanwhile.
            NotAnswered: No bridge answered.
        """
        topics = ((f"{self._prefix}/+/reply/{self._requester}", 1),)
        connection = await self._network.connect(Client(self._requester, topics, self._received))
        try:
            remaining = iter(devices)
            while batch := list(itertools.islice(remaining, WINDOW)):
                await self._find_batch(connection, set(batch))
        finally:
            await connection.close()
        return self._versions

    async def _find_batch(self, connection: Connection, asked: set[str]) -> None:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while asked:
            for device in asked:
                self._ask(connection, device)
            try:
                async with asyncio.timeout(min(ASK_AGAIN_S, self._patience_s)):
                    while not asked <= self._versions.keys():
                        await self._answer.wait()
                        self._answer.clear()
            except TimeoutError:
                if connection.lost.is_set():
                    raise LinkLost(f"{self._network.broker} closed the connection") from None
            before = len(asked)
            asked -= self._versions.keys()
            if len(asked) < before:
                deadline = asyncio.get_running_loop().time() + self._patience_s
            elif asyncio.get_running_loop().time() > deadline:
                raise NotAnswered(
                    f"no bridge answers at {self._network.broker} below {self._prefix}/",
                    hint="start one with `syncbridge run --broker …`, or check --prefix",
                )

    def _ask(self, connection: Connection, device: str) -> None:
        question: JsonObject = {"$": {"id": device[:64]}}
        topic = f"{self._prefix}/{device}/get/{self._requester}"
        connection.publish(Note(topic, encode(question, "json")))

    def _received(self, topic: str, payload: bytes) -> None:
        metadata = (decode(payload) or {}).get("$")
        if not isinstance(metadata, dict) or metadata.get("code") in (429, 503):
            return
        device = topic.removeprefix(self._prefix + "/").split("/", 1)[0]
        version = metadata.get("version")
        self._versions[device] = version if isinstance(version, int) else 0
        self._answer.set()
