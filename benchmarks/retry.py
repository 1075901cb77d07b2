"""Devices that send an update again until the bridge has answered it.

That is what the protocol asks of a device that must not lose anything, and what makes it safe
against a broker that forgets what it has acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final

from benchmarks.client import Client, reopen_client
from benchmarks.load import TICK_S, Pace
from benchmarks.observer import Reply
from benchmarks.updates import Stream

RETRY_AFTER_S: Final = 1.0
"""How long an update may be unanswered before it is sent again."""

UNANSWERED_AT_MOST: Final = 2000
"""Updates of all devices that wait for an answer; more are not made until some are answered."""


class RetryingLoad:
    """Updates of random streams at a steady rate, each until it is answered.

    Args:
        port: The broker's, which may be away for a while.
        streams: All of them numbered.
        random: Chooses the streams.
    """

    def __init__(self, port: int, streams: Sequence[Stream], random: Random) -> None:
        if not all(stream.numbered for stream in streams):
            raise ValueError("only numbered updates can be sent again")
        self._port = port
        self._streams = streams
        self._random = random
        self._clock = asyncio.get_running_loop().time
        self._client: Client | None = None
        self._by_reply = {(stream.device, stream.writer): stream for stream in streams}
        # In the order of their numbers for each stream, with the time when each was sent.
        self._unanswered: dict[tuple[str, str], dict[int, float]] = {
            key: {} for key in self._by_reply
        }
        self._stopping = asyncio.Event()
        self.resent = 0

    def answered(self, reply: Reply) -> None:
        """Take an answer."""
        self._unanswered[reply.device, reply.requester].pop(int(reply.request_id), None)

    def stop(self) -> None:
        """Make no more updates; what is unanswered goes on being sent."""
        self._stopping.set()

    async def run(self, rate_per_s: float) -> None:
        """Send until `stop`, and until everything is answered."""
        pace = Pace(rate_per_s)
        while not (self._stopping.is_set() and self.waiting == 0):
            if self._client is None or self._client.lost.done():
                self._client = await reopen_client(self._port, "retrying")
                self._send_again(unanswered_for_s=0.0)
            due = pace.due()
            if not self._stopping.is_set() and self.waiting < UNANSWERED_AT_MOST:
                for _ in range(due):
                    self._send_next(self._random.choice(self._streams))
            self._send_again(RETRY_AFTER_S)
            await asyncio.sleep(TICK_S)
        if self._client is not None:
            await self._client.close()

    @property
    def waiting(self) -> int:
        """How many updates are unanswered."""
        return sum(map(len, self._unanswered.values()))

    def _send_next(self, stream: Stream) -> None:
        self._send(stream, stream.make_update())

    def _send_again(self, unanswered_for_s: float) -> None:
        before = self._clock() - unanswered_for_s
        for key, unanswered in self._unanswered.items():
            for number in [number for number, sent_at in unanswered.items() if sent_at <= before]:
                self.resent += 1
                self._send(self._by_reply[key], number)

    def _send(self, stream: Stream, number: int) -> None:
        self._unanswered[stream.device, stream.writer][number] = self._clock()
        if self._client is not None and not self._client.lost.done():
            self._client.publish(stream.topic, stream.payload(number))
