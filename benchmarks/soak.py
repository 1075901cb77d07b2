"""A long run at a part of what the bridge can bear: nothing may grow, and nothing be lost.

After a warm-up it is watched what the bridge takes from the machine, with a line a minute. In the
end every device's last update must be in the store and retained.

    python -m benchmarks.soak
    python -m benchmarks.soak --minutes 5 --percent 50
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
from statistics import median
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.bearing import (
    CONNECTIONS,
    LAST_NUMBER,
    await_bridge,
    finish,
    measure_capacity,
    measure_full_capacity,
)
from benchmarks.ending import end_in_good_order
from benchmarks.fleet import PREFIX, device_name
from benchmarks.flood import Flood, open_flood
from benchmarks.overload_check import check
from benchmarks.peers import BRIDGE, peer_process, store_path
from benchmarks.report import Report
from benchmarks.scrape import broker_settings
from benchmarks.spread import spread_ms
from benchmarks.vitals import Vitals, watched
from benchmarks.witnesses import Witnesses
from tests.support.mosquitto import Mosquitto

GROWTH: Final = 1.02
"""Resident memory at the end by that after the warm-up."""

JUDGED_S: Final = 300
"""Only where it was watched so long, growth is judged: before, caches are still being filled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much.

    Attributes:
        minutes: How long it lasts, warm-up included.
        warm_up_share: Part of it that is the warm-up.
        percent: Of what the bridge can bear.
        devices: Devices that report.
        witnesses: Devices that wait for answers.
        interval_s: How often each of those reports.
        burst: Updates at a time by which it is measured what the bridge can bear.
        filling_s: How long it is measured: the history is to be full by then.
        line_s: How often a line is printed.
    """

    minutes: float = 30.0
    warm_up_share: float = 0.2
    percent: float = 70.0
    devices: int = 2000
    witnesses: int = 50
    interval_s: float = 1.0
    burst: int = 60_000
    filling_s: float = 180.0
    line_s: float = 60.0


async def run(plan: Plan, directory: Path, report: Report) -> None:
    """Let a bridge work, and judge it."""
    with Mosquitto(directory / "broker", extra=broker_settings()) as broker:
        process = peer_process(BRIDGE, broker.port, directory / "bridge")
        path = store_path(directory / "bridge")
        async with process:
            witnesses = await await_bridge(process, broker.port, plan.witnesses, plan.interval_s)
            flood = await open_flood(broker.port, range(plan.devices), CONNECTIONS)
            work = follow(plan, flood, witnesses, process.pid, report)
            vitals = await process.while_running(work)
            devices = range(plan.devices)
            ledger = await finish(flood, devices, witnesses, broker.port, path)
        fleet = {device_name(index): LAST_NUMBER for index in range(plan.devices)}
        await check(report, ledger, fleet, path, broker.port, PREFIX)
    if ledger.dropped:
        report.violations.append(f"the broker dropped {ledger.dropped} messages: it was too much")
    report.add("latency, ms", spread_ms([answer.latency_s for answer in witnesses.answers]))
    judge(plan, vitals, report)


async def follow(
    plan: Plan, flood: Flood, witnesses: Witnesses, pid: int, report: Report
) -> Sequence[Vitals]:
    """Measure what the bridge can bear, and let it bear a part of that."""
    await measure_capacity(flood, witnesses, plan.burst)  # It makes the twins.
    capacity_per_s = await measure_full_capacity(flood, witnesses, plan.burst, plan.filling_s)
    rate_per_s = capacity_per_s * plan.percent / 100
    print(f"it bears {capacity_per_s:,.0f} updates/s; {rate_per_s:,.0f} are sent", flush=True)
    witnesses.answers.clear()
    running = asyncio.create_task(witnesses.run())
    async with watched(pid) as vitals:
        telling = asyncio.create_task(_tell(vitals, witnesses, plan.line_s))
        try:
            sent_per_s = await flood.pour(rate_per_s, 60 * plan.minutes)
        finally:
            telling.cancel()
    witnesses.stop()
    await running
    report.add("borne, updates/s", round(capacity_per_s))
    report.add("sent, updates/s", round(sent_per_s))
    return vitals


async def _tell(vitals: Sequence[Vitals], witnesses: Witnesses, line_s: float) -> None:
    before, answers = vitals[0], 0
    while True:
        await asyncio.sleep(line_s)
        now = vitals[-1]
        latencies = [answer.latency_s for answer in witnesses.answers[answers:]]
        answers = len(witnesses.answers)
        core_percent = 100 * (now.cpu_s - before.cpu_s) / (now.at - before.at)
        print(
            f"{(now.at - vitals[0].at) / 60:5.1f} min: {now.resident_mib:.1f} MiB, "
            f"{now.descriptors} descriptors, {now.threads} threads, "
            f"{core_percent:.0f} % of a core, latency in ms: {spread_ms(latencies)}",
            flush=True,
        )
        before = now


def judge(plan: Plan, vitals: Sequence[Vitals], report: Report) -> None:
    """Judge what the bridge took from the machine after the warm-up."""
    warm = vitals[int(len(vitals) * plan.warm_up_share) :]
    tenth = max(1, len(warm) // 10)
    first, last = warm[:tenth], warm[-tenth:]
    growth = median(v.resident_mib for v in last) / median(v.resident_mib for v in first)
    watched_s = warm[-1].at - warm[0].at
    report.add("watched, s", round(watched_s))
    report.add("resident, MiB", round(median(v.resident_mib for v in last), 1))
    report.add("growth", round(growth, 4))
    if watched_s >= JUDGED_S and growth > GROWTH:
        report.violations.append(f"resident memory grew by {growth:.3f}, more than {GROWTH}")
    for name in ("descriptors", "threads"):
        # Now and then one is open for a moment: of somebody who asks for metrics, say.
        counts = [round(median(getattr(v, name) for v in part)) for part in (first, last)]
        report.add(name, counts[1])
        if counts[0] != counts[1]:
            report.violations.append(f"{counts[0]} {name} became {counts[1]}")


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--minutes", type=float, default=plan.minutes)
    parser.add_argument("--percent", type=bounded(1, 100), default=int(plan.percent))
    parser.add_argument("--devices", type=bounded(1, 100_000), default=plan.devices)
    parser.add_argument("--burst", type=bounded(100, 90_000), default=plan.burst)
    parser.add_argument("--filling-s", type=float, default=plan.filling_s)
    parser.add_argument("--line-s", type=float, default=plan.line_s, help="a line so often")
    parser.add_argument("--json", type=Path, help="save the figures")
    parser.add_argument("--directory", type=Path, help="where the store is made")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 where something grew or is lost."""
    given = make_parser().parse_args(arguments)
    plan = Plan(
        minutes=given.minutes,
        percent=given.percent,
        devices=given.devices,
        burst=given.burst,
        filling_s=given.filling_s,
        line_s=given.line_s,
    )
    report = Report()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="sb-") as name:
        asyncio.run(run(plan, Path(name), report))
    report.add("all of it took, s", round(time.monotonic() - began))
    return report.conclude(given.json)


if __name__ == "__main__":
    end_in_good_order()
    sys.exit(main())
