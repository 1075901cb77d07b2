"""A fleet of simulated devices, from the first connection to the last comparison.

    fleet = Fleet(FleetOptions(devices=20, duration_s=30))
    summary = await fleet.run()

A run has four phases: it finds the bridge and the twins' versions; it switches the devices on, a
few at a time, and carries out the plan; it lets everything converge; it compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType

from bridge.device import Answered
from bridge.errors import ConnectRefused
from device_sim.application import Application
from device_sim.check import is_settled
from device_sim.device import SimulatedDevice
from device_sim.endpoint import Endpoint, keep_connected
from device_sim.field_device import FieldDevice
from device_sim.finder import Finder
from device_sim.gateway import Gateway
from device_sim.mqtt import open_network
from device_sim.observer import Observer
from device_sim.options import FleetOptions
from device_sim.plan import DesiredChange, Planned, boot_of, fleet_of, switched_on_s, timeline
from device_sim.population import Population
from device_sim.process import resident_bytes
from device_sim.series import Sample, Series
from device_sim.summary import Summary
from device_sim.tally import Circumstances, summarize
from device_sim.watch import TwinWatch
from device_sim.wire import Network

_RETRY_INTERVAL_S = 0.25
"""How often the devices are asked whether something unanswered is due again."""

_LOOK_AGAIN_S = 1.0
"""How often a twin that has not converged is fetched again."""

_STEPS_AT_ONCE = 50
"""Steps of the plan carried out before the connections have their turn."""


class Phase(StrEnum):
    """Where a run is."""

    NEW = "new"
    FINDING = "finding the bridge"
    RUNNING = "running"
    CONVERGING = "converging"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """A run at one moment.

    Attributes:
        phase: Where it is.
        elapsed_s: Since the first device was switched on.
        total_s: How long the plan takes; None for one without end.
        devices: Switched on so far.
        online: Connected now.
        sent: Different reports published.
        acknowledged: Reports answered with ok.
        refused: Reports answered otherwise.
        desired: Desired changes published.
        faults: Injected so far.
        stage: Phase of the scenario; empty without one.
    """

    phase: Phase
    elapsed_s: float
    total_s: float | None
    devices: int
    online: int
    sent: int
    acknowledged: int
    refused: int
    desired: int
    faults: int = 0
    stage: str = ""


class Fleet:
    """A fleet, to be run once.

    Attributes:
        options: What it is.
        devices: All devices by id, to be looked at while it runs.
        phase: Where the run is.
    """

    def __init__(self, options: FleetOptions) -> None:
        self.options = options
        self.phase = Phase.NEW
        self._resident_before_bytes = self._resident_bytes = resident_bytes()
        self._kinds = fleet_of(options.devices, options.kinds, options.shares)
        self._clock = time.monotonic
        self._observer = Observer(
            options.prefix, self._kinds, clock=self._clock, touched=self._touch
        )
        self._population = Population(
            options, self._kinds, clock=self._clock, answered=self._answered, touched=self._touch
        )
        self.devices: Mapping[str, SimulatedDevice] = MappingProxyType(self._population.devices)
        self._errors: Counter[str] = Counter()
        self._series = Series()
        self._application: Application | None = None
        self._found: dict[str, int] = {}
        self._touched: set[str] = set()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._giving_up = asyncio.Event()
        self._ending = asyncio.Event()
        self._started_at = 0.0
        self._summary: Summary | None = None

    @property
    def twins(self) -> Mapping[str, TwinWatch]:
        """The retained states as the observer has seen them, by device."""
        return MappingProxyType(self._observer.twins)

    def stop(self) -> None:
        """End the traffic, then converge and compare; a second call ends the convergence too."""
        if self._stopping.is_set():
            self._giving_up.set()
            self._arrived.set()
        self._stopping.set()

    def progress(self) -> Progress:
        """Return where the run is."""
        counts = [device.counts for device in self.devices.values()]
        duration_s = self.options.duration_s
        return Progress(
            phase=self.phase,
            elapsed_s=self._clock() - self._started_at if self._started_at else 0.0,
            total_s=None if duration_s is None else self._ramp_s() + duration_s,
            devices=sum(device.is_on for device in self.devices.values()),
            online=sum(device.online for device in self.devices.values()),
            sent=sum(each.sent for each in counts),
            acknowledged=sum(each.acknowledged for each in counts),
            refused=sum(each.refused for each in counts),
            desired=self._application.counts.sent if self._application else 0,
            faults=sum(self._population.faults.values()),
            stage=self._stage(),
        )

    def _stage(self) -> str:
        scenario = self.options.scenario
        if scenario is None or not self._started_at:
            return ""
        return scenario.phase_at(self._clock() - self._started_at - self._ramp_s())

    async def run(self) -> Summary:
        """Run the fleet.

        Raises:
            ConnectRefused: The broker cannot be reached at the start, or refuses a client.
            LinkLost: The connection broke while the bridge was being found.
            NotAnswered: No bridge answers.
        """
        self.phase = Phase.FINDING
        network = await open_network(self.options.broker, self.options.protocol)
        async with network:
            if await self._find(network):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        await self._run(network, tasks)
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None
            self.phase = Phase.ENDED
        return self._summary or self._compare()

    async def _find(self, network: Network) -> bool:
        """Find the twins' versions; False if the run was stopped meanwhile."""
        finder = Finder(network, self.options.prefix, self.options.find_s)
        finding = asyncio.create_task(finder.find(self._kinds))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({finding, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if finding.done():
                self._found = finding.result()
            return finding.done()
        finally:
            for task in (finding, stopped):
                task.cancel()
            await asyncio.wait({finding, stopped})

    async def _run(self, network: Network, tasks: asyncio.TaskGroup) -> None:
        started: list[asyncio.Task[None]] = []
        gateways = [Gateway(network.broker, n + 1) for n in range(self.options.gateways)]
        numbers = itertools.count()
        random = Random(f"{self.options.seed}/backoff")

        def start(running: Coroutine[None, None, None], name: str) -> None:
            started.append(tasks.create_task(running, name=name))

        def connect(endpoint: Endpoint, name: str) -> None:
            start(keep_connected(network, endpoint, random, failed=self._failed), name)

        def connect_device(field: FieldDevice) -> None:
            through = gateways[next(numbers) % len(gateways)] if gateways else network
            keeping = keep_connected(
                through, field, random, wanted=field.wanted, failed=self._failed
            )
            start(keeping, field.device.id)

        self._application = self._make_application()
        connect(self._observer, "observer")
        connect(self._application, "application")
        for gateway in gateways:
            connect(gateway, "gateway")
        await self._observer.connected.wait()
        self._started_at = self._clock()
        self._population.begin(self._found)
        start(self._keep_retrying(), "retries")
        for chattering in self._population.chatter(self._ending):
            start(chattering, "chatterbox")
        self.phase = Phase.RUNNING
        await self._carry_out(connect_device)
        self.phase = Phase.CONVERGING
        self._resident_bytes = resident_bytes()
        self._ending.set()
        self._population.end_faults()
        await self._converge()
        self._sample()
        self._errors.update(network.troubles())
        self._summary = self._compare()
        for device in self._population.switched_on():
            device.say_goodbye()
        for task in started:
            task.cancel()

    def _failed(self, error: ConnectRefused) -> None:
        self._errors[error.message.rpartition(": ")[2]] += 1

    def _sample(self) -> None:
        progress = self.progress()
        p99_s = self._observer.latencies.take_recent().quantile_s(0.99)
        self._series.add(
            Sample(
                at_s=progress.elapsed_s,
                online=progress.online,
                sent=progress.sent,
                acknowledged=progress.acknowledged,
                connects=sum(self._population.connects.values()),
                outstanding=sum(twin.outstanding_since is not None for twin in self.twins.values()),
                latency_p99_ms=None if p99_s is None else round(p99_s * 1000, 3),
                faults=dict(self._population.faults),
                phase=progress.stage,
            )
        )

    def _make_application(self) -> Application:
        seed = self.options.seed
        boots = {
            device: boot_of(seed, f"{device}/application", found)
            for device, found in self._found.items()
        }
        return Application(
            self.options.prefix,
            boots,
            self.options.encoding,
            clock=self._clock,
            touched=self._touch,
        )

    async def _carry_out(self, connect: Callable[[FieldDevice], None]) -> None:
        """Carry out the plan in its time, until its end or until stopped."""
        for step, planned in enumerate(timeline(self._kinds, self.options)):
            ahead_s = self._started_at + planned.at_s - self._clock()
            if ahead_s > 0:
                await self._wait_for_stop(ahead_s)
            elif step % _STEPS_AT_ONCE == 0:
                # Behind the plan, as on a slow machine: the connections must live all the same.
                await asyncio.sleep(0)
            if self._stopping.is_set():
                return
            self._take(planned, connect)
        total_s = self.progress().total_s
        if total_s is None:
            await self._stopping.wait()
        else:
            await self._wait_for_stop(self._started_at + total_s - self._clock())

    async def _wait_for_stop(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stopping.wait()

    def _take(self, planned: Planned, connect: Callable[[FieldDevice], None]) -> None:
        if isinstance(planned, DesiredChange):
            if self._application is not None:
                self._application.desire(planned)
            return
        switched_on = self._population.take(planned)
        if switched_on is not None:
            connect(switched_on)

    async def _keep_retrying(self) -> None:
        while True:
            await asyncio.sleep(_RETRY_INTERVAL_S)
            self._population.flush()
            if self._application is not None:
                self._application.flush()
            if self._series.is_due(self._clock() - self._started_at):
                self._sample()

    async def _converge(self) -> None:
        """Wait until every twin is as it should be, or for as long as that may take."""
        unsettled = {device.id for device in self._population.switched_on()}
        self._touched |= unsettled
        ends_at = self._clock() + self.options.converge_s
        while not self._giving_up.is_set():
            unsettled -= {
                device for device in self._touched & unsettled if self._is_settled(device)
            }
            self._touched.clear()
            remaining_s = ends_at - self._clock()
            if not unsettled or remaining_s <= 0:
                return
            try:
                async with asyncio.timeout(min(remaining_s, _LOOK_AGAIN_S)):
                    await self._arrived.wait()
            except TimeoutError:
                for device in unsettled:
                    self._observer.look_again(device)
                self._touched |= unsettled
            self._arrived.clear()

    def _is_settled(self, device: str) -> bool:
        application = self._application
        if self._population.excuse(self.devices[device]):
            return True
        acknowledged = self.devices[device].acknowledged_version
        if application is not None:
            if application.waits_for(device):
                return False
            acknowledged = max(acknowledged, application.acknowledged_versions.get(device, 0))
        return is_settled(
            self.devices[device],
            self._observer.twins[device],
            acknowledged,
            is_contrary=device in self._population.contrary,
        )

    def _compare(self) -> Summary:
        elapsed_s = self._clock() - self._started_at if self._started_at else 0.0
        population, scenario = self._population, self.options.scenario
        return summarize(
            population.switched_on(),
            self._observer,
            self._application,
            Circumstances(
                seed=self.options.seed,
                elapsed_s=elapsed_s,
                interrupted=self._stopping.is_set(),
                found=self._found,
                excused=population.excused(),
                contrary=population.contrary,
                connects=population.connects,
                faults=population.faults,
                errors=self._errors,
                scenario=scenario.name if scenario is not None else "",
                samples=tuple(self._series.samples),
                resident_bytes=self._resident_bytes,
                resident_before_bytes=self._resident_before_bytes,
            ),
        )

    def _ramp_s(self) -> float:
        return switched_on_s(len(self._kinds), self.options)

    def _answered(self, device: str, answer: Answered, sent_at: float) -> None:
        if answer.changed and not answer.duplicate:
            self._observer.acknowledged(device, answer.version, sent_at)

    def _touch(self, device: str) -> None:
        self._touched.add(device)
        self._arrived.set()
