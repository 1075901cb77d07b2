"""A steady load of updates, with a ledger of what the broker acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from benchmarks.client import Client, open_client
from benchmarks.updates import Stream

TICK_S: Final = 0.005
"""How often what is due is sent: several times in the life of a batch."""

MOST_BEHIND_S: Final = 0.25
"""A busy machine may fall so far behind the rate before the load gives it up, lest it burst."""


class Pace:
    """Tells how many updates are due.

    Args:
        rate_per_s: Updates in a second.
    """

    def __init__(self, rate_per_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._clock = asyncio.get_running_loop().time
        self._due_from = self._clock()

    def due(self) -> int:
        """Return how many are due since the last call."""
        now = self._clock()
        self._due_from = max(self._due_from, now - MOST_BEHIND_S)
        count = int((now - self._due_from) * self._rate_per_s)
        self._due_from += count / self._rate_per_s
        return count


class Publisher:
    """Publishes updates on one connection and enters in each stream what was acknowledged."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._in_flight: dict[int, tuple[Stream, int]] = {}

    async def connect(self, port: int, client_id: str) -> None:
        """Connect; raises `OSError` where that fails."""
        self._client = await open_client(port, client_id, on_puback=self._acknowledged)

    def send(self, stream: Stream, *, drop: bool = False) -> None:
        """Send the stream's next update.

        Args:
            stream: The stream.
            drop: Plant a fault: do not send it, and count it as acknowledged.
        """
        number = stream.make_update()
        if drop:
            stream.acknowledged.add(number)
            return
        client = self._require_client()
        packet_id = client.publish(stream.topic, stream.payload(number))
        self._in_flight[packet_id] = (stream, number)

    async def close(self) -> None:
        """Wait until everything is acknowledged, and disconnect."""
        client = self._require_client()
        await client.all_acknowledged()
        await client.close()

    def _acknowledged(self, packet_id: int) -> None:
        stream, number = self._in_flight.pop(packet_id)
        stream.acknowledged.add(number)

    def _require_client(self) -> Client:
        if self._client is None:
            raise RuntimeError("the publisher is not connected")
        return self._client


class Load:
    """Updates of random streams at a steady rate until it is told to stop.

    Args:
        streams: A stream is always sent on the same connection, so that its order is kept.
        connections: How many connections.
        random: Chooses the streams.
    """

    def __init__(self, streams: Sequence[Stream], connections: int, random: Random) -> None:
        self._streams = streams
        self._random = random
        self._publishers = [Publisher() for _ in range(connections)]
        self._stopping = asyncio.Event()
        self._paused = False
        self._dropped: asyncio.Future[None] | None = None

    async def connect(self, port: int) -> None:
        """Connect all publishers."""
        for index, publisher in enumerate(self._publishers):
            await publisher.connect(port, f"publisher-{index}")

    async def run(self, rate_per_s: float) -> None:
        """Send until `stop`, then wait until everything is acknowledged and disconnect."""
        pace = Pace(rate_per_s)
        while not self._stopping.is_set():
            due = pace.due()
            if not self._paused:
                for _ in range(due):
                    self._send_one()
            await asyncio.sleep(TICK_S)
        for publisher in self._publishers:
            await publisher.close()

    def pause(self) -> None:
        """Send nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        self._paused = False

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping.set()

    async def drop_one(self) -> None:
        """Plant a fault: the next update that carries a `seq` is not sent, but counted."""
        self._dropped = asyncio.get_running_loop().create_future()
        await self._dropped

    def _send_one(self) -> None:
        index = self._random.randrange(len(self._streams))
        stream = self._streams[index]
        drop = self._dropped is not None and stream.numbered
        self._publishers[index % len(self._publishers)].send(stream, drop=drop)
        if self._dropped is not None and drop:
            self._dropped.set_result(None)
            self._dropped = None
