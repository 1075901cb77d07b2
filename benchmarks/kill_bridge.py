"""Kill the bridge with SIGKILL again and again under load, and see whether anything is lost.

Starts a Mosquitto of its own on loopback and the bridge as a child; both end with it.

    python -m benchmarks.kill_bridge --kills 20 --rate 500 --devices 50 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal, get_args

from benchmarks import verdict
from benchmarks.arguments import bounded
from benchmarks.client import open_client
from benchmarks.load import Load
from benchmarks.observer import Observer
from benchmarks.processes import ChildProcess, ProcessEndedError, bridge_process
from benchmarks.report import Report
from benchmarks.stored import StoredFleet, read_retained, read_store
from benchmarks.updates import Stream, make_streams
from tests.support.mosquitto import Mosquitto

CONNECTIONS: Final = 4
START_TIMEOUT_S: Final = 60.0
RUN_TIMEOUT_S: Final = 1800.0
KILLS_AT_MOST: Final = 500
RATE_AT_MOST: Final = 20_000
DEVICES_AT_MOST: Final = 1000

Plant = Literal["none", "drop-one", "stale-state"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        kills: How often the bridge is killed.
        rate_per_s: Updates in a second, all devices together.
        devices: How many devices.
        seed: The same seed gives the same streams and the same moments.
        interval_s: A kill comes so long after the start of the process, at most.
        convergence_s: How long the newest update of every device may take to be visible after
            the last kill, and after every other one, for which the load is paused.
        plant: A fault that the checker has to find.
        port: Of a broker to use instead of one of our own; 0: of our own.
    """

    kills: int = 20
    rate_per_s: int = 500
    devices: int = 50
    seed: int = 1
    interval_s: float = 3.0
    convergence_s: float = 60.0
    plant: Plant = "none"
    port: int = 0


class Run:
    """One run: load, kills, convergence, verdict."""

    def __init__(self, plan: Plan, port: int, directory: Path) -> None:
        self._plan = plan
        self._port = port
        self._directory = directory
        # Apart, so that the moments of the kills do not depend on how fast the load runs.
        self._moments = Random(f"{plan.seed} moments")
        self._prefix = f"kill-{plan.seed}"
        self._streams = make_streams(self._prefix, plan.devices, Random(f"{plan.seed} streams"))
        self._load = Load(self._streams, CONNECTIONS, Random(f"{plan.seed} load"))
        replayable = {(s.device, s.section) for s in self._streams if not s.numbered}
        self._observer = Observer(self._prefix, replayable)
        self._bridge = bridge_process(port, self._prefix, directory)
        self._report = Report()

    async def run(self) -> Report:
        """Do it all.

        Raises:
            ProcessEndedError: The bridge ended by itself.
            TimeoutError: It did not start.
        """
        began = time.monotonic()
        await self._observer.connect(self._port)
        await self._load.connect(self._port)
        async with self._bridge:
            await self._wait_for_bridge(0)
            load = asyncio.create_task(self._load.run(self._plan.rate_per_s))
            try:
                await self._kill_repeatedly(self._bridge)
            finally:
                self._load.stop()
                await load
            await self._converge()
            await self._bridge.stop()
        await self._judge()
        self._report.add("time_s", round(time.monotonic() - began, 1))
        return self._report

    async def _kill_repeatedly(self, bridge: ChildProcess) -> None:
        connected = since = 0
        for kill in range(self._plan.kills):
            await asyncio.sleep(self._moments.uniform(0.0, self._plan.interval_s))
            if kill == self._plan.kills // 4 * 2:
                await self._plant_fault()
            connected += self._observer.bridge_online
            since = self._observer.bridge_since
            if kill % 2:
                self._load.pause()
            await bridge.kill()
            bridge.start()
            if kill % 2:
                # Later updates would publish what this kill may have kept from being published.
                if not await self._converge():
                    return
                self._load.resume()
        await self._wait_for_bridge(since)
        self._report.add("kills", self._plan.kills)
        self._report.add("kills while connected", connected)

    async def _wait_for_bridge(self, since: int) -> None:
        online = self._observer.wait_for_bridge(since, START_TIMEOUT_S)
        await self._bridge.while_running(online)

    async def _plant_fault(self) -> None:
        if self._plan.plant == "drop-one":
            await self._load.drop_one()
        elif self._plan.plant == "stale-state":
            device, stale = await self._overtaken_state()
            topic = f"{self._prefix}/{device}/state"
            await publish_retained(self._port, topic, stale)

    async def _overtaken_state(self) -> tuple[str, bytes]:
        observer = self._observer

        def overtaken() -> list[str]:
            first, newest = observer.first, observer.newest
            return [name for name in newest if newest[name].version > first[name].version]

        await observer.wait_until(lambda: bool(overtaken()), self._plan.convergence_s)
        device = overtaken()[0]
        return device, observer.first[device].payload

    async def _converge(self) -> bool:
        """Wait until the newest update of every stream is visible; what is not is a violation."""
        observer = self._observer
        if await self._bridge.while_running(
            observer.wait_until(
                lambda: not observer.behind(self._streams), self._plan.convergence_s
            )
        ):
            return True
        for stream in observer.behind(self._streams):
            self._report.violations.append(
                f"{stream}: update {stream.sent} was not visible {self._plan.convergence_s:g} s "
                "after a kill"
            )
        return False

    async def _judge(self) -> None:
        retained = await read_retained(self._port, self._prefix)
        await self._observer.close()
        stored = read_store(self._directory / "store.db")
        lost = [
            *verdict.check_twins(self._streams, stored),
            *verdict.check_history(self._streams, stored, self._plan.kills),
        ]
        self._report.violations += self._observer.violations
        self._report.violations += lost
        self._report.violations += self._other_violations(stored, retained)
        self._add_figures(stored, len(lost))

    def _other_violations(self, stored: StoredFleet, retained: dict[str, bytes]) -> Iterator[str]:
        yield from verdict.check_acknowledged(self._streams)
        yield from verdict.check_versions(stored)
        yield from verdict.check_published(self._observer.counters, stored)
        yield from verdict.check_replies(self._observer.replies, self._streams, stored)
        yield from verdict.check_retained(retained, stored, self._prefix)
        yield from verdict.check_health(stored)

    def _add_figures(self, stored: StoredFleet, lost: int) -> None:
        observer, add = self._observer, self._report.add
        add("updates sent", sum(stream.sent for stream in self._streams))
        add("updates acknowledged", sum(len(stream.acknowledged) for stream in self._streams))
        add("losses", lost)
        add("regressions", len(observer.violations))
        add("versions", sum(twin.version for twin in stored.twins.values()))
        add("states observed", observer.states)
        add("states repeated", observer.repeats)
        add("answers", len(observer.replies))
        add("redelivered duplicates", sum(reply.duplicate for reply in observer.replies))
        add("replays without seq", observer.replayed)
        add("streams", _describe(self._streams))


def _describe(streams: Sequence[Stream]) -> str:
    numbered = sum(stream.numbered for stream in streams)
    return f"{numbered} with id, boot and seq, {len(streams) - numbered} without"


async def publish_retained(port: int, topic: str, payload: bytes) -> None:
    """Publish one retained message, as somebody who meddles would."""
    client = await open_client(port, "meddler")
    client.publish(topic, payload, retain=True)
    await client.all_acknowledged()
    await client.close()


async def run_plan(plan: Plan, directory: Path) -> Report:
    """Run a plan; what keeps it from its end is a violation too.

    Args:
        plan: What to do.
        directory: For the store, the logs and the broker.
    """
    with contextlib.ExitStack() as stack:
        port = plan.port
        if not port:
            broker = Mosquitto(directory / "broker", extra="max_inflight_messages 1000")
            port = stack.enter_context(broker).port
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                return await Run(plan, port, directory / "bridge").run()
        except (ProcessEndedError, TimeoutError, ConnectionError) as error:
            report = Report()
            report.violations.append(f"{type(error).__name__}: {error}")
            return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    default = Plan()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=bounded(1, KILLS_AT_MOST), default=default.kills)
    parser.add_argument("--rate", type=bounded(1, RATE_AT_MOST), default=default.rate_per_s)
    parser.add_argument("--devices", type=bounded(1, DEVICES_AT_MOST), default=default.devices)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--port", type=bounded(0, 65_535), default=0, help="of a running broker")
    parser.add_argument(
        "--plant", choices=get_args(Plant), default="none", help="a fault that must be found"
    )
    parser.add_argument("--json", type=Path, help="save the figures here")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.kills,
        given.rate,
        given.devices,
        given.seed,
        plant=given.plant,
        port=given.port,
    )
    print(f"seed {plan.seed}: {plan}")
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(run_plan(plan, Path(directory))).conclude(given.json)


if __name__ == "__main__":
    sys.exit(main())
