"""What is measured of one peer: a blast, a closed loop, and the latency at a steady rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import orjson

from benchmarks.blast import Encoder, Sender, open_senders
from benchmarks.fleet import PREFIX, index_of
from benchmarks.load import Pace
from benchmarks.payloads import FIRST_NUMBER, make_payload, merged
from benchmarks.processes import cpu_seconds
from benchmarks.stored import read_retained
from benchmarks.watcher import Watcher

STALL_TIMEOUT_S: Final = 60.0
"""Something was lost where no state came for so long."""

READ_INTERVAL_S: Final = 0.004
"""How often the load reads what has arrived while throughput is measured. Each packet by itself
would cost the load more than the peer; in this time it can fill neither a window nor a buffer."""

LATENCY_TICK_S: Final = 0.001
"""How often what is due is sent while latency is measured."""

CLOSED_READ_INTERVAL_S: Final = 0.001
"""The same in the closed loop, where the load answers: a small part of an update's way round."""

Figures = dict[str, float]
"""Name -> figure of one run."""


@dataclass(frozen=True, slots=True)
class Processes:
    """What is running.

    Attributes:
        port: The broker's, on loopback.
        broker_pid: The broker's process.
        peer_pid: The peer's process.
    """

    port: int
    broker_pid: int
    peer_pid: int

    def cpu_seconds(self) -> tuple[float, float, float]:
        """Return the CPU time used by peer, broker and load, all threads, user and system."""
        return cpu_seconds(self.peer_pid), cpu_seconds(self.broker_pid), time.process_time()


class Phases:
    """A running broker and peer, and the phases in which they are measured.

    Every phase ends when the final state of every device has been seen, and checks all of them.

    Args:
        processes: What is running.
        connections: Of the senders.
        watcher: Connected already.
        is_twin: States are twins, whose fields are in `reported`.
        first: Each device's first report, which has all of its fields.
    """

    def __init__(
        self,
        processes: Processes,
        connections: int,
        watcher: Watcher,
        *,
        is_twin: bool,
        first: bytes,
    ) -> None:
        self._processes = processes
        self._connections = connections
        self._watcher = watcher
        self._is_twin = is_twin
        self._first = first
        self._next_number = FIRST_NUMBER + 1

    async def introduce(self, devices: Sequence[int]) -> None:
        """Let every device report once, so that its twin is there; `first` is what it says."""
        self._next_number = FIRST_NUMBER
        senders = await self._open_senders(devices, 1, encode=lambda _: self._first)
        for sender in senders:
            sender.allow(sender.total)
        await self._finish(senders)

    async def blast(self, devices: Sequence[int], turns: int) -> Figures:
        """Send as fast as the broker takes it, whatever the peer does."""
        senders = await self._open_senders(devices, turns, read_interval_s=READ_INTERVAL_S)
        return await self._measure(senders, len(devices) * turns)

    async def closed_loop(self, devices: Sequence[int], turns: int, outstanding: int) -> Figures:
        """Keep so many updates on their way: another is sent where one has become visible."""
        senders = await self._open_senders(devices, turns, read_interval_s=CLOSED_READ_INTERVAL_S)
        shares = {device: index % len(senders) for index, device in enumerate(devices)}
        due = [0] * len(senders)

        def advance(device: int, before: int, number: int) -> None:
            # Those in between are visible with it. The phase before left every device at its end.
            due[shares[device]] += number - before

        def send() -> None:
            for index, sender in enumerate(senders):
                if due[index]:
                    sender.allow(due[index])
                    due[index] = 0

        self._watcher.on_advance = advance
        self._watcher.on_read = send
        return await self._measure(senders, max(1, outstanding // len(senders)))

    async def latency(self, devices: Sequence[int], turns: int, rate_per_s: int) -> Figures:
        """Send at a steady rate, one device after the other."""
        senders = await self._open_senders(devices, turns)
        sent_at: dict[tuple[int, int], float] = {}
        samples_s: list[float] = []

        def advance(device: int, before: int, number: int) -> None:
            now = time.perf_counter()
            for seen in range(before + 1, number + 1):
                began = sent_at.pop((device, seen), None)
                if began is not None:
                    samples_s.append(now - began)

        self._watcher.on_advance = advance
        cpu = self._processes.cpu_seconds()
        await _send_steadily(senders, rate_per_s, sent_at)
        await self._finish(senders)
        figures = _cpu_figures(cpu, self._processes.cpu_seconds(), len(samples_s))
        samples_s.sort()
        return {
            "p50_ms": _percentile_ms(samples_s, 0.50),
            "p99_ms": _percentile_ms(samples_s, 0.99),
            **figures,
        }

    async def check_retained(self) -> None:
        """Compare what a new subscriber gets with what has been seen."""
        found = await read_retained(self._processes.port, PREFIX)
        retained = {
            index_of(topic): payload
            for topic, payload in found.items()
            if topic.endswith("/state") and "/device-" in topic
        }
        for device, payload in self._watcher.last.items():
            if retained.get(device) != payload:
                self._watcher.fault(f"device {device}: its retained state is not the last one seen")

    async def _open_senders(
        self,
        devices: Sequence[int],
        turns: int,
        *,
        encode: Encoder = make_payload,
        read_interval_s: float = 0.0,
    ) -> list[Sender]:
        numbers = range(self._next_number, self._next_number + turns)
        self._next_number = numbers.stop
        self._watcher.on_advance = self._watcher.on_read = None
        self._watcher.reading.interval_s = read_interval_s
        self._watcher.expect(devices, numbers[-1])
        senders = await open_senders(
            self._processes.port, devices, numbers, self._connections, encode
        )
        for sender in senders:
            sender.reading.interval_s = read_interval_s
        return senders

    async def _measure(self, senders: list[Sender], begin_with: int) -> Figures:
        updates = sum(sender.total for sender in senders)
        states, repeated = self._watcher.states, self._watcher.repeated
        cpu = self._processes.cpu_seconds()
        began = time.perf_counter()
        for sender in senders:
            sender.allow(begin_with)
        await self._wait(senders)
        time_s = time.perf_counter() - began
        figures = _cpu_figures(cpu, self._processes.cpu_seconds(), updates)
        published = self._watcher.states - states
        self._check()
        return {
            "updates_per_s": updates / time_s,
            **figures,
            "states_per_update": published / updates,
            "repeated_states": self._watcher.repeated - repeated,
        }

    async def _finish(self, senders: list[Sender]) -> None:
        await self._wait(senders)
        self._check()

    async def _wait(self, senders: list[Sender]) -> None:
        """Wait until every device's final state was seen, and every packet acknowledged.

        Raises:
            TimeoutError: Something was lost.
            ConnectionError: The broker closed a connection.
        """
        try:
            await self._watcher.complete(STALL_TIMEOUT_S)
            async with asyncio.timeout(STALL_TIMEOUT_S):
                for sender in senders:
                    await sender.done
        finally:
            for sender in senders:
                sender.close()

    def _check(self) -> None:
        """Compare every final state with what the last update makes of the first."""
        expected = merged(self._first, make_payload(self._next_number - 1))
        if self._next_number == FIRST_NUMBER + 1:
            expected = orjson.loads(self._first)
        for device, payload in self._watcher.last.items():
            document = orjson.loads(payload)
            content = document["reported"] if self._is_twin else document
            if content != expected:
                self._watcher.fault(f"device {device}: {content} is not {expected}")


async def _send_steadily(
    senders: Sequence[Sender], rate_per_s: int, sent_at: dict[tuple[int, int], float]
) -> None:
    """Allow one update after the other, and note when."""
    pace = Pace(rate_per_s)
    turns = cycle(senders)
    left = sum(sender.total for sender in senders)
    while left:
        for _ in range(min(left, pace.due())):
            sender = next(turns)
            update = sender.next_update()
            if update is None:  # The shares are not equal: others have some left.
                continue
            sent_at[update] = time.perf_counter()
            sender.allow(1)
            left -= 1
        await asyncio.sleep(LATENCY_TICK_S)


def _cpu_figures(
    before: Iterable[float], after: Iterable[float], updates: int
) -> Mapping[str, float]:
    names = ("peer_cpu_us", "broker_cpu_us", "load_cpu_us")
    return {
        name: (end_s - begin_s) / updates * 1e6
        for name, begin_s, end_s in zip(names, before, after, strict=True)
    }


def _percentile_ms(ordered_s: list[float], share: float) -> float:
    return ordered_s[min(len(ordered_s) - 1, int(len(ordered_s) * share))] * 1000
