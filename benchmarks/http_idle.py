"""What the HTTP API costs the way of MQTT messages while nobody uses it.

Two bridges, each with a broker of its own: one that answers HTTP, and one that does not. The same
bursts go to both in turns, so that what else the machine does falls on both. What counts is the
median of the ratios.

    python -m benchmarks.http_idle
    python -m benchmarks.http_idle --rounds 3 --burst 2000
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from benchmarks.bearing import CONNECTIONS, await_bridge, measure_capacity
from benchmarks.fleet import PREFIX
from benchmarks.flood import Flood, open_flood
from benchmarks.processes import ChildProcess, bridge_process, cpu_seconds
from benchmarks.report import Report
from benchmarks.scrape import broker_settings
from benchmarks.witnesses import Witnesses
from tests.support.mosquitto import Mosquitto, free_port

AIM: Final = 0.97
"""Of the rate without HTTP: what two bridges with the same settings differ by, at most."""

DEVICES: Final = 200

WITNESSES: Final = 2

WITNESS_INTERVAL_S: Final = 3600.0
"""They only tell when a burst is through."""


class Burst(NamedTuple):
    """What one burst took: updates in a second, and processor time for each, in µs."""

    rate_per_s: float
    cpu_us: float


class Candidate:
    """One bridge under the load.

    Args:
        process: The bridge.
        flood: Sends to it.
        witnesses: Know when it has taken everything.
    """

    def __init__(self, process: ChildProcess, flood: Flood, witnesses: Witnesses) -> None:
        self._process = process
        self._flood = flood
        self._witnesses = witnesses

    async def take(self, count: int) -> Burst:
        """Send a burst, and wait until the bridge has answered for all of it."""
        used_s = cpu_seconds(self._process.pid)
        rate_per_s = await self._process.while_running(
            measure_capacity(self._flood, self._witnesses, count)
        )
        return Burst(rate_per_s, 1e6 * (cpu_seconds(self._process.pid) - used_s) / count)

    async def close(self) -> None:
        """End the connections."""
        self._flood.close()
        await self._witnesses.close()


async def measure(rounds: int, count: int, directory: Path) -> list[tuple[Burst, Burst]]:
    """Return what each round took with HTTP, and without."""
    with ExitStack() as brokers:
        async with AsyncExitStack() as stack:
            pair = []
            for name, settings in (
                ("with", {"SYNCBRIDGE_HTTP_LISTEN": f"127.0.0.1:{free_port()}"}),
                ("without", dict[str, str]()),
            ):
                place = directory / name
                broker = Mosquitto(place / "broker", extra=broker_settings())
                brokers.enter_context(broker)
                process = bridge_process(broker.port, PREFIX, place, environment=settings)
                await stack.enter_async_context(process)
                witnesses = await await_bridge(process, broker.port, WITNESSES, WITNESS_INTERVAL_S)
                flood = await open_flood(broker.port, range(DEVICES), CONNECTIONS)
                candidate = Candidate(process, flood, witnesses)
                stack.push_async_callback(candidate.close)
                pair.append(candidate)
            one, other = pair
            for candidate in pair:  # The first burst makes the twins.
                await candidate.take(count)
            found = []
            for number in range(rounds):
                # Who comes first changes: it must not be who finds the disk idle.
                if number % 2:
                    without = await other.take(count)
                    found.append((await one.take(count), without))
                else:
                    found.append((await one.take(count), await other.take(count)))
            return found


def judge(found: Sequence[tuple[Burst, Burst]], report: Report) -> None:
    """Say what the rounds have shown."""
    rates = [one.rate_per_s / other.rate_per_s for one, other in found]
    cpu = [one.cpu_us / other.cpu_us for one, other in found]
    report.add("rounds", len(found))
    report.add("updates/s with HTTP", round(median(one.rate_per_s for one, _ in found)))
    report.add("updates/s without", round(median(other.rate_per_s for _, other in found)))
    report.add("CPU with HTTP (us)", round(median(one.cpu_us for one, _ in found), 1))
    report.add("CPU without (us)", round(median(other.cpu_us for _, other in found), 1))
    report.add("ratio of rates", f"{median(rates):.2f} (aim: {AIM})")
    report.add("ratio of CPU", f"{median(cpu):.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http_idle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=bounded(1, 1000), default=9)
    parser.add_argument("--burst", type=bounded(200, 1_000_000), default=10_000, help="updates")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args(arguments)
    report = Report()
    with tempfile.TemporaryDirectory() as directory:
        judge(asyncio.run(measure(options.rounds, options.burst, Path(directory))), report)
    return report.conclude(options.json)


if __name__ == "__main__":
    sys.exit(main())
