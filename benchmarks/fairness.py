"""One device that sends far too fast, and what the others notice of it.

Devices that wait for answers report at a low rate, alone, and then beside one device that sends a
thousand updates a second, and several parts and times of what the bridge can bear.

    python -m benchmarks.fairness
    python -m benchmarks.fairness --seconds 10
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.bearing import await_bridge, measure_capacity
from benchmarks.ending import end_in_good_order
from benchmarks.flood import Flood, open_flood
from benchmarks.peers import BRIDGE, peer_process, store_path
from benchmarks.report import save_json
from benchmarks.scrape import Metrics, broker_settings, read_metrics
from benchmarks.spread import percentile
from benchmarks.table import figure, table
from benchmarks.witnesses import Witnesses
from tests.support.mosquitto import Mosquitto

CHATTERBOX_PER_S: Final = 1000
"""What a device sends whose loop has no pause."""

PARTS: Final = (0.5, 0.9, 3.0)
"""Of what the bridge can bear of one device."""

BURST: Final = 40_000

_HEAD: Final = (
    "the one device sends",
    "p50, ms",
    "p99, ms",
    "most, ms",
    "answered/s",
    "sent again",
    "messages in a batch",
    "refused",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much.

    Attributes:
        seconds: How long each part lasts.
        witnesses: Devices that wait for answers.
        interval_s: How often each of those reports.
        burst: Updates by which it is measured what the bridge can bear.
        limit_per_s: What a writer may send on one topic; 0: as much as it likes.
    """

    seconds: float = 20.0
    witnesses: int = 100
    interval_s: float = 0.5
    burst: int = BURST
    limit_per_s: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What the others noticed.

    Attributes:
        sent_per_s: What the one device sent.
        p50_ms: Half of the answers took no longer.
        p99_ms: 99 of 100 took no longer.
        most_ms: The longest.
        answered_per_s: Answers.
        repeated: Updates that were sent again, because no answer came.
        batch_messages: Messages in a batch, on average.
        refused: Messages of the one device that were over its limit.
    """

    sent_per_s: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    answered_per_s: float
    repeated: int
    batch_messages: float
    refused: int


async def run(plan: Plan, directory: Path) -> tuple[float, list[Part]]:
    """Measure all parts on one bridge; returns what it can bear of one device, and the parts."""
    with Mosquitto(directory / "broker", extra=broker_settings()) as broker:
        process = peer_process(
            BRIDGE,
            broker.port,
            directory / "bridge",
            settings={"SYNCBRIDGE_LIMITS_WRITER_MESSAGES_PER_S": str(plan.limit_per_s)},
        )
        path = store_path(directory / "bridge")
        async with process:
            witnesses = await await_bridge(process, broker.port, plan.witnesses, plan.interval_s)
            flood = await open_flood(broker.port, range(1), 1)
            measuring = measure_capacity(flood, witnesses, plan.burst)
            capacity_per_s = await process.while_running(measuring)
            parts = []
            rates = [0.0, CHATTERBOX_PER_S, *(part * capacity_per_s for part in PARTS)]
            for rate_per_s in sorted(rates):
                part = notice(plan, flood, witnesses, rate_per_s, path)
                parts.append(await process.while_running(part))
                await process.while_running(witnesses.fence())  # The queue is empty again.
            flood.close()
            await witnesses.close()
    return capacity_per_s, parts


async def notice(
    plan: Plan, flood: Flood, witnesses: Witnesses, rate_per_s: float, path: Path
) -> Part:
    """Let one device send at a rate, and see what the others notice."""
    witnesses.answers.clear()
    repeated = witnesses.repeated
    before = await read_metrics(path)
    running = asyncio.create_task(witnesses.run())
    sent_per_s = 0.0
    if rate_per_s:
        sent_per_s = await flood.pour(rate_per_s, plan.seconds)
    else:
        await asyncio.sleep(plan.seconds)
    after = await read_metrics(path)
    witnesses.stop()
    await running
    taken = [answer.latency_s for answer in witnesses.answers]
    batches, messages = (
        after[name, ""] - before[name, ""]
        for name in ("syncbridge_batch_messages_count", "syncbridge_batch_messages_sum")
    )
    return Part(
        sent_per_s,
        1000 * median(taken),
        1000 * percentile(taken, 99),
        1000 * max(taken),
        len(taken) / plan.seconds,
        witnesses.repeated - repeated,
        messages / max(1, batches),
        round(_refused(after) - _refused(before)),
    )


def _refused(metrics: Metrics) -> float:
    return metrics.get(("syncbridge_refusals_total", "too_fast"), 0)


def cells(part: Part) -> list[str]:
    """Return a part as a line of the table."""
    return [
        f"{figure(part.sent_per_s)}/s" if part.sent_per_s else "nothing",
        *(figure(value) for value in (part.p50_ms, part.p99_ms, part.most_ms)),
        figure(part.answered_per_s),
        str(part.repeated),
        figure(part.batch_messages),
        str(part.refused),
    ]


def make_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.fairness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan = Plan()
    parser.add_argument("--seconds", type=bounded(1, 3600), default=int(plan.seconds))
    parser.add_argument("--witnesses", type=bounded(1, 1000), default=plan.witnesses)
    parser.add_argument("--burst", type=bounded(100, 90_000), default=plan.burst)
    parser.add_argument(
        "--limit-per-s",
        type=bounded(0, 1_000_000),
        default=plan.limit_per_s,
        help="limits.writer_messages_per_s: what is beyond is refused; 0: nothing is",
    )
    parser.add_argument("--json", type=Path, help="save the figures")
    parser.add_argument("--directory", type=Path, help="where the store is made")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns 1 where an answer was a refusal."""
    given = make_parser().parse_args(arguments)
    plan = Plan(
        seconds=given.seconds,
        witnesses=given.witnesses,
        burst=given.burst,
        limit_per_s=given.limit_per_s,
    )
    with tempfile.TemporaryDirectory(dir=given.directory, prefix="sb-") as name:
        capacity_per_s, parts = asyncio.run(run(plan, Path(name)))
    what = "take or refuse" if plan.limit_per_s else "bear"
    print(f"of one device the bridge can {what} {figure(capacity_per_s)} updates/s")
    print(table(_HEAD, map(cells, parts)))
    if given.json is not None:
        lines = [
            {name: getattr(part, name) for name in Part.__dataclass_fields__} for part in parts
        ]
        save_json(given.json, {"capacity_per_s": capacity_per_s, "parts": lines})
    return 0


if __name__ == "__main__":
    end_in_good_order()
    sys.exit(main())
