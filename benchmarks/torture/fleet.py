"""The fleet that is tortured with the bridge: devices and applications that insist on an answer.

Each message leaves with `id`, `boot` and `seq`, and leaves again until it is answered. Every
fourth device is a plain one: it sends once, at QoS 1, and says nothing of itself. What is sent,
accepted and answered goes into a ledger for the checker, before anything else is done about it.

    python -m benchmarks.torture.fleet --port 1883 --prefix sync --seed 1 --ledger ledger.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import orjson

from benchmarks.client import Client, open_client
from benchmarks.load import TICK_S, Pace
from benchmarks.packets import Publish
from device_sim.checker import line

RETRY_AFTER_S: Final = 3.0
"""How long a message may be unanswered before it leaves again: on a machine that cannot keep up,
repeats must not become the load."""

UNANSWERED_AT_MOST: Final = 150
"""Messages of all writers that wait for an answer; no more are made until some are answered."""

CONNECT_AGAIN_S: Final = 0.05

FIELDS: Final = 48
"""Fields of a section that take turns: a loss shows in the twin itself for so many messages."""

SHARED: Final = "wanted"
"""Field that two applications write against each other."""


@dataclass(slots=True)
class Writer:
    """One device, or one application on one device's twin.

    Attributes:
        topic: Where it publishes.
        boot: None for a plain device.
        replies: Where it is answered.
        is_application: It writes `desired`.
        made: How many messages it has made.
        believed: What its section is after all of them.
        seen: The newest version that it was told of.
        unanswered: Message by its number, and when it last left.
        obeyed: The application whose wishes a device fulfils with each report, so that its delta
            is cleared.
    """

    topic: str
    boot: str | None
    replies: str
    is_application: bool
    made: int = 0
    believed: dict[str, object] = field(default_factory=dict)
    seen: int = 0
    unanswered: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    obeyed: Writer | None = None

    def next_message(self) -> bytes:
        """Make a message: a counter, and one field of many, by numbers that come once."""
        number = self.made + 1
        name = self.topic.rpartition("/")[2] if self.is_application else "n"
        patch: dict[str, object] = {name: number, f"{name}{number % FIELDS}": number}
        if self.is_application and number % 3 == 0:
            patch[SHARED] = f"{name}-{number}"
        if self.obeyed is not None:
            wanted = self.obeyed.believed.items()
            patch |= {key: value for key, value in wanted if self.believed.get(key) != value}
        return self._message(patch, {})

    def whole(self) -> bytes:
        """Make a message that is the whole section, as `resync` asks for."""
        return self._message(dict(self.believed), {"full": True})

    def _message(self, patch: dict[str, object], more: dict[str, object]) -> bytes:
        self.made += 1
        self.believed |= patch
        if self.boot is None:
            return orjson.dumps(patch)
        head = {"id": f"{self.boot}-{self.made}", "boot": self.boot, "seq": self.made, **more}
        if self.is_application and self.made % 2:
            head["seen"] = self.seen
        return orjson.dumps({**patch, "$": head})


def make_writers(prefix: str, devices: int, random: Random) -> list[Writer]:
    """Make a fleet: a third of its devices have an application, a sixth has two.

    Those with one obey it.
    """
    writers = []
    for index in range(devices):
        twin = f"{prefix}/device-{index:03}"

        def boot() -> str:
            return f"{random.getrandbits(64):016x}"

        is_plain = index % 4 == 3
        replies = f"{twin}/reply/device-{index:03}"
        device = Writer(f"{twin}/report", None if is_plain else boot(), replies, False)
        writers.append(device)
        if index % 3 == 0:
            for name in ("app", "rival")[: 2 if index % 6 == 0 else 1]:
                topic = f"{twin}/desire/{name}"
                writers.append(Writer(topic, boot(), f"{twin}/reply/{name}", True))
            if index % 6 == 3:
                device.obeyed = writers[-1]
    return writers


class Fleet:
    """All writers on one connection, which is made again whenever it breaks.

    Args:
        port: Of the broker, or of what stands before it.
        writers: The fleet.
        prefix: Of all topics.
        random: Chooses who speaks.
        write: Appends to the ledger.
    """

    def __init__(
        self,
        port: int,
        writers: Sequence[Writer],
        prefix: str,
        random: Random,
        write: Callable[[bytes], object],
    ) -> None:
        self._port = port
        self._writers = writers
        self._prefix = prefix
        self._random = random
        self._write = write
        self._clock = asyncio.get_running_loop().time
        self._by_reply = {writer.replies: writer for writer in writers}
        self._by_report = {writer.topic: writer for writer in writers if not writer.is_application}
        self._plain: deque[tuple[int, str, bytes]] = deque()
        self._asked: list[Writer] = []
        self._client: Client | None = None
        self._stopping = asyncio.Event()
        self._waiting = 0

    def stop(self) -> None:
        """Make no more messages; those unanswered go on leaving."""
        self._stopping.set()

    async def run(self, rate_per_s: float) -> None:
        """Send until `stop`, and until everything is answered."""
        pace = Pace(rate_per_s)
        while not (self._stopping.is_set() and self._waiting == 0):
            if self._client is None or self._client.lost.done():
                self._client = await self._connect()
                self._send_again(unanswered_for_s=0.0)
                continue
            due = pace.due()
            while self._asked:
                self._send_new(self._asked.pop(), whole=True)
            if not self._stopping.is_set() and self._waiting < UNANSWERED_AT_MOST:
                for _ in range(due):
                    self._send_new(self._random.choice(self._writers))
            self._send_again(RETRY_AFTER_S)
            await asyncio.sleep(TICK_S)
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> Client | None:
        self._plain.clear()  # what was not acknowledged then may be lost
        try:
            client = await open_client(
                self._port, "fleet", on_publish=self._received, on_puback=self._accepted
            )
            filters = [f"{self._prefix}/+/reply/+", f"{self._prefix}/+/resync"]
            await client.subscribe(filters, 1)
        except OSError:
            await asyncio.sleep(CONNECT_AGAIN_S)
            return None
        return client

    def _send_new(self, writer: Writer, *, whole: bool = False) -> None:
        payload = writer.whole() if whole else writer.next_message()
        self._write(line("sent", writer.topic, payload))
        if writer.boot is not None:
            self._waiting += 1
            self._send(writer, writer.made, payload)
        elif self._client is not None and not self._client.lost.done():
            packet_id = self._client.publish(writer.topic, payload)
            self._plain.append((packet_id, writer.topic, payload))

    def _send_again(self, unanswered_for_s: float) -> None:
        before = self._clock() - unanswered_for_s
        for writer in self._writers:
            late = [n for n, (_, sent_at) in writer.unanswered.items() if sent_at <= before]
            for number in late:
                self._send(writer, number, writer.unanswered[number][0])

    def _send(self, writer: Writer, number: int, payload: bytes) -> None:
        writer.unanswered[number] = (payload, self._clock())
        if self._client is not None and not self._client.lost.done():
            self._client.publish(writer.topic, payload)

    def _accepted(self, packet_id: int) -> None:
        # A broker acknowledges in the order in which it was sent (MQTT 3.1.1, section 4.6).
        if self._plain and self._plain[0][0] == packet_id:
            _, topic, payload = self._plain.popleft()
            self._write(line("accepted", topic, payload))

    def _received(self, publish: Publish) -> None:
        writer = self._by_reply.get(publish.topic)
        if writer is None:
            asked = self._by_report.get(publish.topic.removesuffix("/resync") + "/report")
            if asked is not None and asked.boot is not None and asked.believed:
                self._asked.append(asked)
            return
        head = orjson.loads(publish.payload)["$"]
        self._write(line("answered", publish.topic, publish.payload))
        writer.seen = max(writer.seen, head.get("version", 0))
        if writer.unanswered.pop(int(head["id"].rpartition("-")[2]), None) is not None:
            self._waiting -= 1


async def run(arguments: argparse.Namespace, write: Callable[[bytes], object]) -> None:
    """Run a fleet until SIGTERM, and until everything is answered then."""
    random = Random(f"{arguments.seed} fleet")
    writers = make_writers(arguments.prefix, arguments.devices, random)
    fleet = Fleet(arguments.port, writers, arguments.prefix, random, write)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, fleet.stop)
    await fleet.run(arguments.rate)


def main() -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prefix", default="sync")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--devices", type=int, default=24)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--ledger", required=True)
    given = parser.parse_args()
    # Not buffered: the ledger survives whatever happens to this process.
    with Path(given.ledger).open("ab", buffering=0) as ledger:
        asyncio.run(run(given, ledger.write))
    return 0


if __name__ == "__main__":
    sys.exit(main())
