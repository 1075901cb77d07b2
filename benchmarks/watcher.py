"""The observer of the throughput benchmark: sees every state, and checks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import orjson

from benchmarks.client import Client, open_client
from benchmarks.packets import Publish

PROBE: Final = "probe"
"""A device that is published to until it is seen, to know that a peer is ready."""

PROBE_INTERVAL_S: Final = 0.1


class Watcher:
    """Follows the newest update that is visible of each device.

    Subscribes at QoS 0, which takes the least from the broker.

    Args:
        prefix: Of all topics.
        is_twin: States are twins with a version, and the fields are in `reported`.
        on_advance: Called with device, the number seen before, and the number seen now.

    Attributes:
        newest: Device -> number of the newest update seen.
        contents: Device -> the fields of that update.
        states: How many states arrived.
        faults: What went back, one line each.
    """

    def __init__(self, prefix: str, *, is_twin: bool) -> None:
        self._prefix = prefix
        self._is_twin = is_twin
        self._client: Client | None = None
        self._versions: dict[str, int] = {}
        self._waiting: set[str] = set()
        self._final = 0
        self._complete = asyncio.Event()
        self._probed = asyncio.Event()
        self.on_advance: Callable[[str, int, int], None] | None = None
        self.newest: dict[str, int] = {}
        self.contents: dict[str, object] = {}
        self.states = 0
        self.faults: list[str] = []

    async def connect(self, port: int) -> None:
        """Connect and subscribe."""
        self._client = await open_client(port, "watcher", on_publish=self.take)
        await self._client.subscribe([f"{self._prefix}/+/state"], 0)

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()

    async def wait_for_peer(self, timeout_s: float) -> None:
        """Wait until the peer turns a report into a state.

        Raises:
            TimeoutError: It does not.
        """
        if self._client is None:
            raise RuntimeError("the watcher is not connected")
        number = 0
        async with asyncio.timeout(timeout_s):
            while not self._probed.is_set():
                number += 1
                payload = orjson.dumps({"n": number})
                self._client.publish(f"{self._prefix}/{PROBE}/report", payload)
                await asyncio.sleep(PROBE_INTERVAL_S)

    def expect(self, devices: list[str], final: int) -> None:
        """Begin to wait for an update of each of the devices."""
        self._waiting = set(devices)
        self._final = final
        self._complete.clear()

    async def complete(self) -> None:
        """Wait until all that is expected has been seen."""
        await self._complete.wait()

    def take(self, publish: Publish) -> None:
        """Read and check one message."""
        try:
            self._read(publish)
        except (KeyError, TypeError, ValueError) as error:
            self.faults.append(f"{publish.topic}: cannot be read: {type(error).__name__}: {error}")

    def _read(self, publish: Publish) -> None:
        document = orjson.loads(publish.payload)
        device = publish.topic.split("/")[-2]
        if device == PROBE:
            self._probed.set()
            return
        self.states += 1
        content = document
        if self._is_twin:
            content = document["reported"]
            version: int = document["version"]
            if version <= self._versions.get(device, 0):
                self.faults.append(f"{device}: version {version} came again, or late")
            self._versions[device] = version
        number: int = content["n"]
        before = self.newest.get(device, 0)
        if number < before:
            self.faults.append(f"{device}: update {number} came after update {before}")
            return
        self.newest[device] = number
        self.contents[device] = content
        if self.on_advance is not None:
            self.on_advance(device, before, number)
        if number == self._final:
            self._waiting.discard(device)
            if not self._waiting:
                self._complete.set()
