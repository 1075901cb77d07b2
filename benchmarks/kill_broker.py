"""Kill the broker with SIGKILL under load, and see whether everything retained comes back.

Three ways in which a broker comes back: `empty`, as one without persistence does; `snapshot`, from
what it had last saved, older than what it has acknowledged since; and `interrupted`, empty, with
the bridge killed as well while it publishes everything again.

    python -m benchmarks.kill_broker --scenario snapshot --kills 3 --rate 500 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Literal, get_args

from benchmarks import groups, verdict
from benchmarks.arguments import bounded
from benchmarks.client import open_client
from benchmarks.observer import Observer
from benchmarks.processes import ProcessEndedError, bridge_process
from benchmarks.report import Report
from benchmarks.retry import RetryingLoad
from benchmarks.stored import read_retained, read_store
from benchmarks.updates import make_streams
from tests.support.mosquitto import Mosquitto

Scenario = Literal["empty", "snapshot", "interrupted"]

START_TIMEOUT_S: Final = 60.0
POLL_INTERVAL_S: Final = 0.2
RUN_TIMEOUT_S: Final = 1800.0

INTERRUPTED_PER_GROUP: Final = 100
"""Twins that are more than the bridge reads from its store at once: some are left to rebuild."""

INTERRUPTED_PACE_PER_S: Final = 250
"""Pace of rebuilding at which there is time to interrupt it."""


INTERRUPTED_AFTER_S: Final = 2.0
"""Longest time for which it rebuilds before it is killed: less than it takes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    Attributes:
        scenario: How the broker comes back.
        kills: How often it is killed.
        rate_per_s: Updates in a second, all devices together.
        devices: How many devices make them.
        seed: The same seed gives the same streams and the same moments.
        interval_s: Longest pause between two kills.
        convergence_s: How long what is retained may take to be whole after the last one.
    """

    scenario: Scenario = "empty"
    kills: int = 3
    rate_per_s: int = 500
    devices: int = 30
    seed: int = 1
    interval_s: float = 3.0
    convergence_s: float = 60.0

    @property
    def per_group(self) -> int:
        """Silent devices in a group."""
        interrupted = self.scenario == "interrupted"
        return INTERRUPTED_PER_GROUP if interrupted else groups.DEVICES_PER_GROUP


class ForgetfulBroker:
    """A broker that comes back without, or with an older state of, what it held.

    Args:
        directory: Of its configuration and snapshots.
    """

    def __init__(self, directory: Path) -> None:
        self._saved = directory / "mosquitto.db"
        self._older = directory / "older-snapshot"
        settings = ("persistence true", f"persistence_location {directory}/", "autosave_interval 0")
        self.broker = Mosquitto(
            directory, extra="\n".join(("max_inflight_messages 1000", *settings))
        )

    async def save(self) -> None:
        """Let it write down what it holds at this moment."""
        os.kill(self.broker.pid, signal.SIGUSR1)
        deadline = time.monotonic() + START_TIMEOUT_S
        # It is renamed when it is complete (and nothing tells asyncio of a file's appearance).
        while not self._saved.exists() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_INTERVAL_S)
        shutil.copy(self._saved, self._older)

    def kill_and_start(self) -> None:
        """Kill it, and start it from its older snapshot, or empty if there is none."""
        self.broker.kill()
        self.broker.forget()
        if self._older.exists():
            shutil.copy(self._older, self._saved)
        self.broker.start()


class Run:
    """One run: both stages, kills under load, convergence, verdict."""

    def __init__(self, plan: Plan, broker: ForgetfulBroker, directory: Path) -> None:
        self._plan = plan
        self._broker = broker
        self._port = broker.broker.port
        self._directory = directory
        self._moments = Random(f"{plan.seed} moments")
        self._prefix = f"kill-{plan.seed}"
        self._streams = make_streams(
            self._prefix, plan.devices, Random(f"{plan.seed} streams"), all_numbered=True
        )
        self._load = RetryingLoad(self._port, self._streams, Random(f"{plan.seed} load"))
        self._observer = Observer(self._prefix)
        self._observer.on_reply = self._load.answered
        environment = {}
        if plan.scenario == "interrupted":
            environment["SYNCBRIDGE_PUBLISH_REBUILD_PER_S"] = str(INTERRUPTED_PACE_PER_S)
        self._bridge = bridge_process(self._port, self._prefix, directory, environment=environment)
        self._report = Report()

    async def run(self) -> Report:
        """Do it all.

        Raises:
            ProcessEndedError: The bridge ended by itself.
            TimeoutError: It did not start, or what was published did not become visible.
        """
        began = time.monotonic()
        await self._observer.connect(self._port)
        async with self._bridge:
            await self._wait_for_bridge(0)
            await self._publish_stage(1)
            if self._plan.scenario == "snapshot":
                await self._broker.save()
            await self._publish_stage(2)
            load = asyncio.create_task(self._load.run(self._plan.rate_per_s))
            for _ in range(self._plan.kills):
                await asyncio.sleep(self._moments.uniform(0.5, self._plan.interval_s))
                await self._kill()
            self._load.stop()
            await asyncio.wait_for(load, self._plan.convergence_s)
            await self._converge()
            await self._bridge.stop()
        await self._judge()
        self._report.add("time_s", round(time.monotonic() - began, 1))
        return self._report

    async def _publish_stage(self, stage: int) -> None:
        client = await open_client(self._port, "silent-devices")
        for topic, payload in groups.messages(self._prefix, stage, self._plan.per_group):
            client.publish(topic, payload)
        await client.all_acknowledged()
        await client.close()
        if not await self._observer.wait_until(
            lambda: groups.is_visible(self._observer, stage, self._plan.per_group),
            self._plan.convergence_s,
        ):
            raise TimeoutError(f"stage {stage} did not become visible")

    async def _kill(self) -> None:
        since = self._observer.bridge_since
        self._broker.kill_and_start()
        await self._observer.connect(self._port, again=True)
        await self._wait_for_bridge(since)
        if self._plan.scenario == "interrupted":
            await asyncio.sleep(self._moments.uniform(0.0, INTERRUPTED_AFTER_S))
            since = self._observer.bridge_since
            await self._bridge.kill()
            self._bridge.start()
            await self._wait_for_bridge(since)

    async def _wait_for_bridge(self, since: int) -> None:
        online = self._observer.wait_for_bridge(since, START_TIMEOUT_S)
        await self._bridge.while_running(online)

    async def _converge(self) -> None:
        """Wait until everything is retained that ought to be; what is missing is judged later."""
        wanted = groups.retained_topics(self._prefix, self._plan.per_group)
        deadline = time.monotonic() + self._plan.convergence_s
        while time.monotonic() < deadline:
            behind = self._observer.behind(self._streams)
            retained = await read_retained(self._port, self._prefix)
            silent = {topic for topic in retained if "/device-" not in topic}
            if not behind and silent == wanted:
                return
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _judge(self) -> None:
        retained = await read_retained(self._port, self._prefix)
        await self._observer.close()
        stored = read_store(self._directory / "store.db")
        violations = self._report.violations
        violations += self._observer.violations
        violations += verdict.check_twins(self._streams, stored)
        violations += verdict.check_history_in_any_turn(
            self._streams, stored, self._observer.replies
        )
        violations += verdict.check_versions(stored)
        violations += verdict.check_retained(retained, stored, self._prefix)
        violations += verdict.check_health(stored)
        violations += self._missing_documents(set(retained))
        self._add_figures(retained)

    def _missing_documents(self, retained: set[str]) -> Iterator[str]:
        """The store has what the silent devices said: it was not the store that forgot."""
        for topic in groups.retained_topics(self._prefix, self._plan.per_group) - retained:
            yield f"{topic}: nothing is retained"

    def _add_figures(self, retained: dict[str, bytes]) -> None:
        observer, add = self._observer, self._report.add
        add("scenario", self._plan.scenario)
        add("kills", self._plan.kills)
        add("updates answered", sum(stream.sent for stream in self._streams))
        add("updates sent again", self._load.resent)
        add("states retained", sum(topic.endswith("/state") for topic in retained))
        add("deltas retained", sum(topic.endswith("/delta") for topic in retained))
        add("regressions", len(observer.violations))
        add("states repeated", observer.repeats)
        add("stale states served", observer.stale_retained)
        add("duplicates answered", sum(reply.duplicate for reply in observer.replies))


async def run_plan(plan: Plan, directory: Path) -> Report:
    """Run a plan; what keeps it from its end is a violation too.

    Args:
        plan: What to do.
        directory: For the store, the logs and the broker.
    """
    forgetful = ForgetfulBroker(directory / "broker")
    with forgetful.broker:
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                return await Run(plan, forgetful, directory / "bridge").run()
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
    parser.add_argument("--scenario", choices=get_args(Scenario), default=default.scenario)
    parser.add_argument("--kills", type=bounded(1, 500), default=default.kills)
    parser.add_argument("--rate", type=bounded(1, 20_000), default=default.rate_per_s)
    parser.add_argument("--devices", type=bounded(1, 1000), default=default.devices)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--json", type=Path, help="save the figures here")
    given = parser.parse_args(arguments)
    plan = Plan(given.scenario, given.kills, given.rate, given.devices, given.seed)
    print(f"seed {plan.seed}: {plan}")
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(run_plan(plan, Path(directory))).conclude(given.json)


if __name__ == "__main__":
    sys.exit(main())
