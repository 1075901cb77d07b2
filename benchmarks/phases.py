"""What is measured of one peer: a blast, a closed loop, and the latency at a steady rate."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Final

import orjson

from benchmarks.blast import Sender, make_payload, open_senders
from benchmarks.load import TICK_S, Pace
from benchmarks.processes import cpu_seconds
from benchmarks.watcher import Watcher

PHASE_TIMEOUT_S: Final = 300.0
"""A phase that takes so long has lost something."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """One blast or closed loop.

    Attributes:
        updates_per_s: Updates in a second, from the first publish until the observer had the final
            state of every device.
        peer_cpu_us: CPU time of the peer per update, all threads, user and system.
        broker_cpu_us: The same of the broker.
        load_cpu_us: The same of the load and the observer, to see that they are not measured.
        states_per_update: How many states the peer published for an update.
    """

    updates_per_s: float
    peer_cpu_us: float
    broker_cpu_us: float
    load_cpu_us: float
    states_per_update: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From the publish of an update to a state that has it (or a newer one), in ms."""

    p50_ms: float
    p99_ms: float


class Bench:
    """A running broker and peer, and the phases in which they are measured.

    Args:
        port: The broker's.
        broker_pid: The broker's process.
        peer_pid: The peer's process.
        prefix: Of all topics.
        devices: Their names, all of one length.
        connections: Of the senders.
        watcher: Connected already.
        first_number: Of the updates.
    """

    def __init__(
        self,
        port: int,
        broker_pid: int,
        peer_pid: int,
        prefix: str,
        devices: list[str],
        connections: int,
        watcher: Watcher,
        first_number: int,
    ) -> None:
        self._port = port
        self._broker_pid = broker_pid
        self._peer_pid = peer_pid
        self._topics = {f"{prefix}/{device}/report": device for device in devices}
        self._connections = connections
        self._watcher = watcher
        self._next_number = first_number

    async def blast(self, updates: int) -> Throughput:
        """Send as fast as the broker takes it, whatever the peer does."""
        senders = await self._open_senders(updates)
        return await self._measure(senders, updates)

    async def closed_loop(self, updates: int, outstanding: int) -> Throughput:
        """Keep so many updates on their way: another is sent where one has become visible."""
        senders = await self._open_senders(updates)
        by_device = {
            device: senders[index % len(senders)]
            for index, device in enumerate(self._topics.values())
        }

        def advance(device: str, before: int, number: int) -> None:
            # Those in between are visible with it. The phase before left every device at its end.
            by_device[device].allow(number - before)

        self._watcher.on_advance = advance
        return await self._measure(senders, max(1, outstanding // len(senders)))

    async def latency(self, updates: int, rate_per_s: int) -> Latency:
        """Send at a steady rate, one device after the other."""
        senders = await self._open_senders(updates)
        sent_at: dict[tuple[str, int], float] = {}
        samples_s: list[float] = []

        def advance(device: str, before: int, number: int) -> None:
            now = time.perf_counter()
            for seen in range(before + 1, number + 1):
                began = sent_at.pop((device, seen), None)
                if began is not None:
                    samples_s.append(now - began)

        self._watcher.on_advance = advance
        pace = Pace(rate_per_s)
        turns = cycle(senders)
        left = sum(sender.total for sender in senders)
        while left:
            for _ in range(min(left, pace.due())):
                sender = next(turns)
                update = sender.next_update()
                if update is not None:
                    sent_at[self._topics[update[0]], update[1]] = time.perf_counter()
                    sender.allow(1)
                left -= 1
            await asyncio.sleep(TICK_S / 5)
        await self._finish(senders)
        samples_s.sort()
        return Latency(_percentile_ms(samples_s, 0.50), _percentile_ms(samples_s, 0.99))

    async def _open_senders(self, updates: int) -> list[Sender]:
        turns = -(-updates // len(self._topics))
        numbers = range(self._next_number, self._next_number + turns)
        self._next_number = numbers.stop
        self._watcher.on_advance = None
        self._watcher.expect(list(self._topics.values()), numbers[-1])
        return await open_senders(self._port, list(self._topics), numbers, self._connections)

    async def _measure(self, senders: list[Sender], begin_with: int) -> Throughput:
        updates = sum(sender.total for sender in senders)
        states = self._watcher.states
        cpu = self._cpu_seconds()
        began = time.perf_counter()
        for sender in senders:
            sender.allow(begin_with)
        await self._finish(senders)
        time_s = time.perf_counter() - began
        peer, broker, load = (
            (after - before) / updates * 1e6
            for before, after in zip(cpu, self._cpu_seconds(), strict=True)
        )
        published = self._watcher.states - states
        return Throughput(updates / time_s, peer, broker, load, published / updates)

    async def _finish(self, senders: list[Sender]) -> None:
        """Wait until every device's final state was seen, and compare it.

        Raises:
            TimeoutError: It was not.
            AssertionError: It is not what the last update makes, or something went back.
        """
        try:
            async with asyncio.timeout(PHASE_TIMEOUT_S):
                await self._watcher.complete()
                for sender in senders:
                    await sender.done
        finally:
            for sender in senders:
                sender.close()
        expected = orjson.loads(make_payload(self._next_number - 1))
        for device, content in self._watcher.contents.items():
            if content != expected:
                self._watcher.faults.append(f"{device}: {content} is not {expected}")

    def _cpu_seconds(self) -> tuple[float, float, float]:
        return cpu_seconds(self._peer_pid), cpu_seconds(self._broker_pid), time.process_time()


def _percentile_ms(ordered_s: list[float], share: float) -> float:
    return ordered_s[min(len(ordered_s) - 1, int(len(ordered_s) * share))] * 1000


def as_figures(result: Throughput | Latency) -> dict[str, float]:
    """Return a result for JSON."""
    return {name: round(value, 3) for name, value in asdict(result).items()}
