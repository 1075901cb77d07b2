"""The workloads: each is measured on a broker and a peer of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.client import open_client
from benchmarks.fleet import PREFIX
from benchmarks.memory import growth, resident_mib, sample
from benchmarks.payloads import FIRST_NUMBER, make_large_payload, make_payload
from benchmarks.peers import PER_MESSAGE, has_twins, peer_process, store_path
from benchmarks.phases import Figures, Phases, Processes
from benchmarks.plan import Plan
from benchmarks.processes import ProcessEndedError
from benchmarks.seed_store import last_word, seed
from benchmarks.watcher import Watcher, open_watcher
from bridge.core.topics import TopicGrammar
from tests.support.mosquitto import Mosquitto

START_TIMEOUT_S: Final = 120.0

BROKER_SETTINGS: Final = "max_inflight_messages 1000\npersistence false"
"""Beside what `Mosquitto` sets: TCP_NODELAY, and a queue that holds the whole blast."""

LOG_CHARACTERS: Final = 2000
"""What is shown of a peer's log where a state was wrong."""

LARGE_STORE: Final = frozenset({"million", "soak"})
"""Workloads with `Plan.twins` twins in the store."""

SEED: Final = 1
"""Of the order in which a large store is updated."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a workload is measured.

    Attributes:
        peer: Who is measured.
        plan: How much.
        directory: For this run alone.
        seeded: A store with `plan.twins` twins, made where it is first asked for; it is copied.
        profile_to: Run the bridge under the profiler, and write what that found here.
    """

    peer: str
    plan: Plan
    directory: Path
    seeded: Path
    profile_to: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A broker, a peer that is ready, and the load.

    Attributes:
        setting: What runs.
        processes: Its processes.
        phases: What can be measured of it.
        ready_s: Time from the peer's start to the first state that it published.
    """

    setting: Setting
    processes: Processes
    phases: Phases
    ready_s: float


Work = Callable[[Running], Awaitable[Figures]]


async def measure(workload: str, setting: Setting) -> tuple[Figures, list[str]]:
    """Measure a peer under a workload, once.

    Returns:
        Its figures, none where it did not come to its end; and what was wrong, one line each.
    """
    large_store = workload in LARGE_STORE
    first = make_large_payload(FIRST_NUMBER) if workload == "large" else make_payload(FIRST_NUMBER)
    devices = setting.plan.twins if large_store else setting.plan.many_devices
    peer_directory = setting.directory / "peer"
    peer_directory.mkdir(parents=True)
    with Mosquitto(setting.directory / "broker", extra=BROKER_SETTINGS) as broker:
        if large_store:
            await _take_store(setting, peer_directory, broker.port)
        watcher = await open_watcher(broker.port, devices, is_twin=has_twins(setting.peer))
        process = peer_process(setting.peer, broker.port, peer_directory, setting.profile_to)
        figures: Figures = {}
        faults: list[str] = []
        try:
            began = time.perf_counter()
            async with process:
                await process.while_running(watcher.wait_for_peer(START_TIMEOUT_S))
                ready_s = time.perf_counter() - began
                running = _running(setting, broker, process.pid, watcher, first, ready_s)
                figures = await process.while_running(WORKLOADS[workload](running))
        except (TimeoutError, ConnectionError, ProcessEndedError) as error:
            faults.append(f"{type(error).__name__}: {error}")
        watcher.close()
    faults += watcher.faults
    if faults:
        faults.append(f"the log of the peer ends with: {process.log_text()[-LOG_CHARACTERS:]}")
    return figures, faults


def _running(
    setting: Setting,
    broker: Mosquitto,
    peer_pid: int,
    watcher: Watcher,
    first: bytes,
    ready_s: float,
) -> Running:
    processes = Processes(broker.port, broker.pid, peer_pid)
    phases = Phases(
        processes,
        setting.plan.connections,
        watcher,
        is_twin=has_twins(setting.peer),
        first=first,
    )
    return Running(setting, processes, phases, ready_s)


async def _take_store(setting: Setting, directory: Path, port: int) -> None:
    """Copy the large store, and give the broker what a bridge with it had left there."""
    if not setting.seeded.exists():
        print(f"making a store of {setting.plan.twins:,} twins", flush=True)
        seed(setting.seeded, setting.plan.twins)
    path = store_path(directory)
    shutil.copyfile(setting.seeded, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # Or writing it back would be measured.
    status = last_word(path)
    client = await open_client(port, "predecessor")
    client.publish(TopicGrammar(PREFIX).status, status.encode(), retain=True)
    await client.all_acknowledged()
    await client.close()


async def _saturated(running: Running) -> Figures:
    plan = running.setting.plan
    turns = plan.slow_turns if running.setting.peer == PER_MESSAGE else plan.turns
    return await _blast(running, plan.devices, turns)


async def _many(running: Running) -> Figures:
    plan = running.setting.plan
    return await _blast(running, plan.many_devices, plan.many_turns)


async def _blast(running: Running, devices: int, turns: int) -> Figures:
    fleet = range(devices)
    await running.phases.introduce(fleet)
    figures = await running.phases.blast(fleet, turns)
    await running.phases.check_retained()
    return figures


async def _closed(running: Running) -> Figures:
    plan = running.setting.plan
    fleet = range(plan.devices)
    await running.phases.introduce(fleet)
    return await running.phases.closed_loop(fleet, plan.closed_turns, plan.outstanding)


async def _latency(running: Running) -> Figures:
    plan = running.setting.plan
    fleet = range(plan.devices)
    await running.phases.introduce(fleet)
    turns = max(1, plan.rate_per_s * plan.latency_s // plan.devices)
    return await running.phases.latency(fleet, turns, plan.rate_per_s)


async def _million(running: Running) -> Figures:
    slices = _slices(running.setting.plan)
    await _fill_cache(running, slices)
    figures = await running.phases.blast(next(slices), 1)
    return {**figures, "ready_s": running.ready_s, **_memory(running)}


async def _fill_cache(running: Running, slices: Iterator[list[int]]) -> None:
    """Update half of the twins: more than the cache holds."""
    plan = running.setting.plan
    for _ in range(max(1, plan.twins // plan.slice_twins // 2)):
        await running.phases.blast(next(slices), 1)


async def _soak(running: Running) -> Figures:
    plan = running.setting.plan
    slices = _slices(plan)
    await _fill_cache(running, slices)
    updates, began = 0, time.perf_counter()
    async with _sampled(running.processes.peer_pid) as samples_mib:
        while (time_s := time.perf_counter() - began) < plan.soak_s:
            devices = next(slices)
            await running.phases.blast(devices, 1)
            updates += len(devices)
    # Not the saturated throughput: encoding the load and checking it are within.
    return {
        "updates": updates,
        "soaked_s": time_s,
        "growth": growth(samples_mib),
        "ready_s": running.ready_s,
        **_memory(running),
    }


def _memory(running: Running) -> Figures:
    resident, peak = resident_mib(running.processes.peer_pid)
    return {"resident_mib": resident, "peak_mib": peak}


async def _idle(running: Running) -> Figures:
    plan = running.setting.plan
    await running.phases.introduce(range(plan.devices))
    await asyncio.sleep(plan.settle_s)
    cpu_s, began = running.processes.cpu_seconds()[0], time.perf_counter()
    await asyncio.sleep(plan.idle_s)
    used_s = running.processes.cpu_seconds()[0] - cpu_s
    return {"core_percent": 100 * used_s / (time.perf_counter() - began)}


def _slices(plan: Plan) -> Iterator[list[int]]:
    """Yield parts of the fleet without end: all of it in random order, again and again.

    In the order of their names, pages of the store would be read once for many twins.
    """
    fleet = list(range(plan.twins))
    Random(SEED).shuffle(fleet)
    while True:
        for first in range(0, plan.twins, plan.slice_twins):
            yield fleet[first : first + plan.slice_twins]


@contextlib.asynccontextmanager
async def _sampled(pid: int) -> AsyncIterator[list[float]]:
    samples_mib: list[float] = []
    task = asyncio.ensure_future(sample(pid, samples_mib))
    try:
        yield samples_mib
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


WORKLOADS: Final[Mapping[str, Work]] = {
    "saturated": _saturated,
    "many": _many,
    "closed": _closed,
    "latency": _latency,
    "large": _saturated,
    "million": _million,
    "soak": _soak,
    "idle": _idle,
}

ONCE: Final = frozenset({"soak"})
"""Workloads that are measured in one round only, because they take long."""
