"""Devices that must not lose an update: each sends one, and again until it is answered.

They tell what others do to them: how long an answer takes, and whether what was answered is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

import orjson

from benchmarks.client import Client, open_client
from benchmarks.fleet import PREFIX
from benchmarks.packets import Publish
from benchmarks.updates import FIELDS, Stream, own_field
from bridge.core.topics import TopicGrammar

TICK_S: Final = 0.002
"""How often what is due is sent."""

RETRY_S: Final = 2.0
"""How long an answer is waited for before the same bytes are sent again."""

FENCE_TIMEOUT_S: Final = 120.0

_STATUS: Final = TopicGrammar(PREFIX).status


class Answer(NamedTuple):
    """One update that was answered.

    Attributes:
        sent_at: When it was first sent, in s.
        sent_again_at: When it was last sent.
        answered_at: When the answer came.
    """

    sent_at: float
    sent_again_at: float
    answered_at: float

    @property
    def latency_s(self) -> float:
        """How long the device waited."""
        return self.answered_at - self.sent_at


@dataclass(slots=True)
class Witness:
    """One device.

    Attributes:
        stream: What it reports.
        next_at: When it reports next.
        waiting_for: Number of the update that it waits for, or 0.
        first_at: When that was first sent.
        last_at: When it was last sent.
        answered: Fulfilled by the next answer, where somebody waits.
    """

    stream: Stream
    next_at: float = 0.0
    waiting_for: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    answered: asyncio.Future[None] | None = field(default=None)


class Witnesses:
    """Many such devices on one connection; made by `open_witnesses`.

    Args:
        streams: One for each.
        interval_s: How often each reports.
        random: Shares out when they begin.

    Attributes:
        answers: Every update that was answered, in the order of the answers.
        sent: Publishes, those that were sent again too.
        repeated: Those that were sent again.
        faults: Answers that are no confirmation.
    """

    def __init__(self, streams: Sequence[Stream], interval_s: float, random: Random) -> None:
        self._clock = asyncio.get_running_loop().time
        self._witnesses = {stream.device: Witness(stream) for stream in streams}
        self._random = random
        self._interval_s = interval_s
        self._client: Client | None = None
        self._stopping = False
        self.answers: list[Answer] = []
        self.sent = 0
        self.repeated = 0
        self.faults: list[str] = []
        self._bridge_online = asyncio.Event()

    @property
    def streams(self) -> list[Stream]:
        """What the devices report."""
        return [witness.stream for witness in self._witnesses.values()]

    async def connect(self, port: int) -> None:
        """Connect, and subscribe to the answers."""
        self._client = await open_client(port, "witnesses", on_publish=self._take)
        await self._client.subscribe([f"{PREFIX}/+/reply/+", _STATUS], 1)

    async def await_bridge(self) -> None:
        """Wait until the bridge says that it is online: it has subscribed by then.

        Raises:
            TimeoutError: It did not say so.
        """
        async with asyncio.timeout(FENCE_TIMEOUT_S):
            await self._bridge_online.wait()

    async def run(self) -> None:
        """Report until `stop`, and then until everything is answered."""
        self._stopping = False
        for witness in self._witnesses.values():
            # Not all of them at the same moment.
            witness.next_at = self._clock() + self._random.random() * self._interval_s
        while not self._stopping or any(w.waiting_for for w in self._witnesses.values()):
            now = self._clock()
            for witness in self._witnesses.values():
                if witness.waiting_for:
                    if now - witness.last_at >= RETRY_S:
                        self.repeated += 1
                        self._send(witness, now)
                elif now >= witness.next_at and not self._stopping:
                    self._begin(witness, now)
            await asyncio.sleep(TICK_S)

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True

    async def fence(self) -> None:
        """Report as one of the devices while `run` does not; returns when that is answered.

        Everything that the broker had queued for the bridge before has been taken by then.

        Raises:
            TimeoutError: It was not answered.
        """
        witness = next(iter(self._witnesses.values()))
        answered = witness.answered = asyncio.get_running_loop().create_future()
        self._begin(witness, self._clock())
        async with asyncio.timeout(FENCE_TIMEOUT_S):
            while not (await asyncio.wait({answered}, timeout=RETRY_S))[0]:
                self.repeated += 1
                self._send(witness, self._clock())

    def oldest_waiting_since(self) -> float | None:
        """Return when the oldest update that is not answered yet was first sent, or None."""
        waiting = [w.first_at for w in self._witnesses.values() if w.waiting_for]
        return min(waiting, default=None)

    async def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            await self._client.close()

    def _begin(self, witness: Witness, now: float) -> None:
        witness.waiting_for = witness.stream.make_update()
        witness.first_at = now
        witness.next_at += self._interval_s
        if witness.next_at < now:  # It was kept waiting; it goes on from here.
            witness.next_at = now + self._interval_s
        self._send(witness, now)

    def _send(self, witness: Witness, now: float) -> None:
        witness.last_at = now
        self.sent += 1
        if self._client is not None:
            stream = witness.stream
            self._client.publish(stream.topic, stream.payload(witness.waiting_for))

    def _take(self, publish: Publish) -> None:
        if publish.topic == _STATUS:
            if orjson.loads(publish.payload)["online"]:
                self._bridge_online.set()
            return
        device = publish.topic.split("/")[1]
        about = orjson.loads(publish.payload)["$"]
        witness = self._witnesses[device]
        if not about["ok"]:
            self.faults.append(f"{device}: update {about.get('id')} was refused: {about}")
        if about.get("id") != str(witness.waiting_for):
            return  # The second answer to one that was sent again.
        self.answers.append(Answer(witness.first_at, witness.last_at, self._clock()))
        witness.stream.acknowledged.add(witness.waiting_for)
        witness.waiting_for = 0
        if witness.answered is not None and not witness.answered.done():
            witness.answered.set_result(None)


async def open_witnesses(port: int, count: int, interval_s: float, random: Random) -> Witnesses:
    """Connect such devices to a broker on loopback."""
    streams = [
        Stream(f"{PREFIX}/{name}/report", name, "reported", f"{random.getrandbits(64):016x}")
        for name in (f"witness-{index:03}" for index in range(count))
    ]
    witnesses = Witnesses(streams, interval_s, random)
    await witnesses.connect(port)
    return witnesses


def missing(stream: Stream, reported: dict[str, object]) -> list[int]:
    """Return the updates that were answered and that a section does not show.

    Each of the last `FIELDS` stands in a field of its own; older ones have been overwritten.
    """
    newest = max(stream.acknowledged, default=0)
    return [
        number
        for number in sorted(stream.acknowledged)
        if number > newest - FIELDS and not _holds(reported, number)
    ]


def _holds(reported: dict[str, object], number: int) -> bool:
    found = reported.get(own_field(number))
    return isinstance(found, int) and found >= number
