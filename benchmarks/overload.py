"""More load than the bridge can bear: what becomes of memory, latency, and what it has answered.

A fleet floods the broker with several times what the bridge takes, while other devices send an
update now and then, and again until it is answered. What the broker cannot queue for the bridge it
drops; of the rest nothing may be missing. docs/performance.md says what is checked.

    python -m benchmarks.overload
    python -m benchmarks.overload --seconds 20 --factor 5
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.bearing import (
    CONNECTIONS,
    LAST_NUMBER,
    await_bridge,
    finish,
    measure_capacity,
)
from benchmarks.ending import end_in_good_order
from benchmarks.fleet import PREFIX, device_name
from benchmarks.flood import Flood, open_flood
from benchmarks.overload_check import check
from benchmarks.peers import BRIDGE, peer_process, store_path
from benchmarks.report import Report
from benchmarks.scrape import QUEUED_MESSAGES, broker_settings, read_metrics
from benchmarks.spread import percentile, spread_ms
from benchmarks.vitals import Vitals, watched
from benchmarks.witnesses import Answer, Witnesses
from tests.support.mosquitto import Mosquitto

RECOVERY_S: Final = 10.0
"""Within so much time after the load latency is to be what it was: a target. It must be within so
much time after what waited at the broker has been taken."""

RECOVERED_AT: Final = 3.0
"""It is where nine in ten answers take at most so many times the p99 from before."""

SLOT_S: Final = 0.5
"""Answers are judged together that came within this time."""

WATCHED_S: Final = 60.0
"""How long they are watched."""

SETTLED_S: Final = 3.0
"""Or until they have been fast for so long."""

RESIDENT_MIB: Final = 400
"""What the bridge may take; with a million twins it may not take more either."""

GROWTH_S: Final = 60
"""Only where it lasts that long, memory is to be flat from the middle of the load on."""

GROWTH: Final = 1.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How much.

    Attributes:
        seconds: How long the flood lasts.
        factor: How many times what the bridge can bear.
        devices: In the flood.
        witnesses: Devices that wait for answers.
        interval_s: How often each of those reports.
        burst: Updates by which it is measured what the bridge can bear.
        calm_s: How long latency is watched before the flood.
        queue: Messages that the broker keeps for the bridge.
    """

    seconds: float = 120.0
    factor: float = 3.0
    devices: int = 5000
    witnesses: int = 100
    interval_s: float = 0.5
    burst: int = 60_000
    calm_s: float = 4.0
    queue: int = QUEUED_MESSAGES


@dataclass(slots=True)
class Course:
    """What happened, and when, on the clock of the event loop.

    Attributes:
        capacity_per_s: What the bridge can bear.
        flood_per_s: What was sent.
        flooded_at: When the flood began.
        calm_at: When it ended.
        taken: What the bridge had taken by then.
        published: What had been published by then.
        slow_from_s: What counts as slow.
        recovered_s: How long after the flood answers were slow.
        answers: Of the witnesses.
        bridge: The bridge's process.
        broker: The broker's process.
    """

    capacity_per_s: float
    flood_per_s: float
    flooded_at: float
    calm_at: float
    taken: int
    published: int
    slow_from_s: float
    recovered_s: float
    answers: Sequence[Answer]
    bridge: Sequence[Vitals]
    broker: Sequence[Vitals]


async def run(plan: Plan, directory: Path, report: Report) -> None:
    """Flood a bridge, and check what is left."""
    with Mosquitto(directory / "broker", extra=broker_settings(plan.queue)) as broker:
        process = peer_process(BRIDGE, broker.port, directory / "bridge")
        path = store_path(directory / "bridge")
        async with process:
            witnesses = await await_bridge(process, broker.port, plan.witnesses, plan.interval_s)
            flood = await open_flood(broker.port, range(plan.devices), CONNECTIONS)
            async with watched(process.pid) as vitals, watched(broker.pid) as broker_vitals:
                course = await process.while_running(
                    follow(plan, flood, witnesses, path, vitals, broker_vitals)
                )
            devices = range(plan.devices)
            ledger = await finish(flood, devices, witnesses, broker.port, path)
        fleet = {device_name(index): LAST_NUMBER for index in range(plan.devices)}
        await check(report, ledger, fleet, path, broker.port, PREFIX)
    conclude(plan, course, ledger.dropped, report)


async def follow(
    plan: Plan,
    flood: Flood,
    witnesses: Witnesses,
    path: Path,
    vitals: Sequence[Vitals],
    broker_vitals: Sequence[Vitals],
) -> Course:
    """Measure what the bridge can bear, wait in calm, flood it, and wait until it has recovered."""
    clock = asyncio.get_running_loop().time
    await measure_capacity(flood, witnesses, plan.burst)  # It makes the twins.
    capacity_per_s = await measure_capacity(flood, witnesses, plan.burst)
    witnesses.answers.clear()
    running = asyncio.create_task(witnesses.run())
    await asyncio.sleep(plan.calm_s)
    flooded_at = clock()
    flood_per_s = await flood.pour(plan.factor * capacity_per_s, plan.seconds)
    calm_at = clock()
    taken = int((await read_metrics(path))["syncbridge_messages_received_total", ""])
    published = flood.acknowledged + witnesses.sent
    limit_s = slow_from_s(witnesses.answers, flooded_at)
    watched_s = 0.0
    while watched_s < WATCHED_S:
        await asyncio.sleep(SLOT_S)
        watched_s = SLOT_S * int((clock() - calm_at) / SLOT_S)
        recovered_s = recovery_s(witnesses.answers, calm_at, limit_s, watched_s)
        if watched_s - recovered_s >= SETTLED_S:
            break
    witnesses.stop()
    await running
    return Course(
        capacity_per_s=capacity_per_s,
        flood_per_s=flood_per_s,
        flooded_at=flooded_at,
        calm_at=calm_at,
        taken=taken,
        published=published,
        slow_from_s=limit_s,
        recovered_s=recovered_s,
        answers=witnesses.answers,
        bridge=vitals,
        broker=broker_vitals,
    )


def conclude(plan: Plan, course: Course, dropped: int, report: Report) -> None:
    """Judge memory and latency.

    Args:
        plan: How much it was.
        course: What happened.
        dropped: What the broker dropped during the load.
        report: Where figures and faults go.
    """
    answers = course.answers
    calm = [a.latency_s for a in answers if a.answered_at < course.flooded_at]
    during = [a.latency_s for a in answers if course.flooded_at <= a.sent_at < course.calm_at]
    report.add("borne, updates/s", round(course.capacity_per_s))
    report.add("sent, updates/s", round(course.flood_per_s))
    report.add("times what it bears", round(course.flood_per_s / course.capacity_per_s, 2))
    report.add("latency before, ms", spread_ms(calm))
    report.add("latency during, ms", spread_ms(during))
    waiting = max(0, course.published - dropped - course.taken)
    report.add("waiting at its end", waiting)
    drained_s = waiting / course.capacity_per_s
    report.add("that takes, s", round(drained_s, 1))
    report.add("recovered after, s", round(course.recovered_s, 1))
    in_time = "yes" if course.recovered_s <= RECOVERY_S else "NO"
    report.add(f"within {RECOVERY_S:.0f} s", in_time)
    if course.recovered_s > drained_s + RECOVERY_S:
        report.violations.append(
            f"{course.recovered_s:.1f} s after the load one in ten answers took more than "
            f"{1000 * course.slow_from_s:.1f} ms, though what waited took {drained_s:.1f} s"
        )
    judge_memory(plan, course, report)


def judge_memory(plan: Plan, course: Course, report: Report) -> None:
    """Judge whether the bridge's memory is bounded, and tell of the broker's."""
    offset_s = time.monotonic() - asyncio.get_running_loop().time()
    middle = (course.flooded_at + course.calm_at) / 2 + offset_s
    first = [v.resident_mib for v in course.bridge if v.at < middle]
    second = [v.resident_mib for v in course.bridge if v.at >= middle]
    peak_mib = max(first + second)
    report.add("bridge at most, MiB", round(peak_mib, 1))
    report.add("broker at most, MiB", round(max(v.resident_mib for v in course.broker), 1))
    growth = max(second, default=peak_mib) / max(first)
    report.add("growth in second half", round(growth, 3))
    if peak_mib > RESIDENT_MIB:
        report.violations.append(f"the bridge took {peak_mib:.0f} MiB, more than {RESIDENT_MIB}")
    if plan.seconds >= GROWTH_S and growth > GROWTH:
        report.violations.append(f"memory grew by {growth:.2f} in the second half of the load")


def slow_from_s(answers: Sequence[Answer], flooded_at: float) -> float:
    """Return from which latency on answers are slow, by those that came before the flood."""
    calm = [answer.latency_s for answer in answers if answer.answered_at < flooded_at]
    return RECOVERED_AT * percentile(calm, 99)


def recovery_s(
    answers: Sequence[Answer], calm_at: float, limit_s: float, watched_s: float
) -> float:
    """Return how long after the load answers were slow, in steps of `SLOT_S`.

    How long an answer took counts from when its update was last sent: the one before that may have
    been dropped by the broker during the load. A time without any answer is slow too.
    """
    slots: list[list[float]] = [[] for _ in range(int(watched_s / SLOT_S))]
    for answer in answers:
        slot = int((answer.answered_at - calm_at) // SLOT_S)
        if 0 <= slot < len(slots):
            slots[slot].append(answer.answered_at - answer.sent_again_at)
    slow = [
        slot for slot, taken in enumerate(slots) if not taken or percentile(taken, 90) > limit_s
    ]
    return (max(slow) + 1) * SLOT_S if slow else 0.0


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--seconds", type=bounded(1, 86_400), default=int(plan.seconds))
    parser.add_argument("--factor", type=float, default=plan.factor)
    parser.add_argument("--devices", type=bounded(1, 100_000), default=plan.devices)
    parser.add_argument("--witnesses", type=bounded(1, 1000), default=plan.witnesses)
    parser.add_argument("--burst", type=bounded(100, 90_000), default=plan.burst)
    parser.add_argument(
        "--queue", type=bounded(100, 10_000_000), default=plan.queue, help="max_queued_messages"
    )
    parser.add_argument("--json", type=Path, help="save the figures")
    parser.add_argument("--directory", type=Path, help="where the store is made")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 where something must not have happened."""
    given = make_parser().parse_args(arguments)
    plan = Plan(
        seconds=given.seconds,
        calm_s=min(Plan().calm_s, given.seconds),
        factor=given.factor,
        devices=given.devices,
        witnesses=given.witnesses,
        burst=given.burst,
        queue=given.queue,
    )
    report = Report()
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="sb-") as name:
        asyncio.run(run(plan, Path(name), report))
    return report.conclude(given.json)


if __name__ == "__main__":
    end_in_good_order()
    sys.exit(main())
