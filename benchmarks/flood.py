"""A flood: packets encoded once and sent round and round, at a rate that nobody has to bear.

Unlike the blast of the suite it has no end, and PUBACKs say only that the broker has read a packet:
a broker whose queue for the bridge is full drops it all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from benchmarks import packets
from benchmarks.counting import WINDOW, CountingConnection
from benchmarks.fleet import report_topic
from benchmarks.load import TICK_S, Pace
from benchmarks.payloads import FIRST_NUMBER, make_payload

TURNS: Final = 64
"""Updates of each device that differ, at least, before the first one comes again."""

READ_INTERVAL_S: Final = 0.004
"""How often PUBACKs are read: the flood must not cost more than what it floods."""


class Flooder(CountingConnection):
    """One connection of a flood.

    Args:
        client_id: Of the connection.
        devices: Who reports; taken in turns.
        first_number: Number of each device's first update.
        turns: How many updates of each device differ, at least.

    Attributes:
        sent: Packets that were sent.
        allowed: Packets that may be sent by now.
    """

    def __init__(
        self, client_id: str, devices: Sequence[int], first_number: int, turns: int = TURNS
    ) -> None:
        super().__init__(client_id)
        # No packet id is used again before as many others as may be unacknowledged.
        turns_of_ids = -(-WINDOW // len(devices))
        ids = len(devices) * turns_of_ids
        turns = turns_of_ids * -(-turns // turns_of_ids)
        encoded = [
            packets.publish(
                report_topic(device), make_payload(first_number + turn), 1 + place % ids
            )
            for place, (turn, device) in enumerate(
                (turn, device) for turn in range(turns) for device in devices
            )
        ]
        self._packets = memoryview(b"".join(encoded))
        self._size_bytes = len(encoded[0])
        self._in_cycle = len(encoded)
        self.reading.interval_s = READ_INTERVAL_S
        self.sent = 0
        self.allowed = 0
        self.lost = False

    # What asyncio calls.

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note the end."""
        self.lost = True

    # What the owner calls.

    def allow(self, count: int) -> None:
        """Allow so many packets more."""
        self.allowed += count
        self._send()

    def hold(self) -> None:
        """Allow nothing more than what was sent."""
        self.allowed = self.sent

    def _send(self) -> None:
        end = min(self.allowed, self.acknowledged + WINDOW)
        while self.sent < end and self._transport is not None:
            first = self.sent % self._in_cycle
            count = min(end - self.sent, self._in_cycle - first)
            size_bytes = self._size_bytes
            self._transport.write(self._packets[first * size_bytes : (first + count) * size_bytes])
            self.sent += count


class Flood:
    """Several connections that report for a fleet; made by `open_flood`."""

    def __init__(self, flooders: Sequence[Flooder]) -> None:
        self._flooders = flooders
        self._next = 0

    @property
    def acknowledged(self) -> int:
        """PUBACKs that arrived."""
        return sum(flooder.acknowledged for flooder in self._flooders)

    async def burst(self, count: int) -> None:
        """Send so many packets as fast as the broker takes them, and wait for the PUBACKs."""
        self._allow(count)
        await self._settle()

    async def pour(self, rate_per_s: float, duration_s: float) -> float:
        """Send at a rate, for a time; returns the rate that came about."""
        clock = asyncio.get_running_loop().time
        began, before = clock(), self.acknowledged
        pace = Pace(rate_per_s)
        while clock() < began + duration_s:
            self._allow(pace.due())
            await asyncio.sleep(TICK_S)
        for flooder in self._flooders:
            flooder.hold()
        await self._settle()
        return (self.acknowledged - before) / (clock() - began)

    def close(self) -> None:
        """Disconnect."""
        for flooder in self._flooders:
            flooder.close()

    def _allow(self, count: int) -> None:
        share, rest = divmod(count, len(self._flooders))
        for index, flooder in enumerate(self._flooders):
            flooder.allow(share + ((index - self._next) % len(self._flooders) < rest))
        self._next = (self._next + rest) % len(self._flooders)

    async def _settle(self) -> None:
        while any(flooder.acknowledged < flooder.allowed for flooder in self._flooders):
            if any(flooder.lost for flooder in self._flooders):
                raise ConnectionError("the broker closed a connection of the flood")
            await asyncio.sleep(TICK_S)


async def open_flood(
    port: int,
    devices: Sequence[int],
    connections: int,
    *,
    first_number: int = FIRST_NUMBER,
    turns: int = TURNS,
) -> Flood:
    """Connect to a broker on loopback, with the devices shared out among the connections."""
    flooders = []
    for index in range(min(connections, len(devices))):
        client_id = f"flooder-{devices[0]}-{first_number}-{index}"
        flooder = Flooder(client_id, devices[index::connections], first_number, turns)
        flooders.append(await flooder.connect(port))
    return Flood(flooders)
