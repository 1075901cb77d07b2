"""A fleet of simulated devices, from the first connection to the last comparison.

    fleet = Fleet(FleetOptions(devices=20, duration_s=30))
    summary = await fleet.run()

A run has four phases: it finds the bridge and the twins' versions; it switches the devices on, a
few at a time, and carries out the plan; it lets everything converge; it compares.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType

from bridge.device import Answered
from device_sim.application import Application
from device_sim.check import is_settled
from device_sim.device import SimulatedDevice
from device_sim.endpoint import Endpoint, keep_connected
from device_sim.finder import Finder
from device_sim.mqtt import open_network
from device_sim.observer import Observer
from device_sim.options import FleetOptions
from device_sim.plan import DesiredChange, Planned, boot_of, fleet_of, switched_on_s, timeline
from device_sim.summary import Summary
from device_sim.tally import summarize
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
        self._kinds = fleet_of(options.devices, options.kinds)
        self._clock = time.monotonic
        self._observer = Observer(
            options.prefix, self._kinds, clock=self._clock, touched=self._touch
        )
        self._devices = {
            device: SimulatedDevice(
                device, kind, clock=self._clock, answered=self._answered, touched=self._touch
            )
            for device, kind in self._kinds.items()
        }
        self.devices: Mapping[str, SimulatedDevice] = MappingProxyType(self._devices)
        self._application: Application | None = None
        self._found: dict[str, int] = {}
        self._touched: set[str] = set()
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._giving_up = asyncio.Event()
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
        counts = [device.counts for device in self._devices.values()]
        duration_s = self.options.duration_s
        return Progress(
            phase=self.phase,
            elapsed_s=self._clock() - self._started_at if self._started_at else 0.0,
            total_s=None if duration_s is None else self._ramp_s() + duration_s,
            devices=sum(device.is_on for device in self._devices.values()),
            online=sum(device.online for device in self._devices.values()),
            sent=sum(each.sent for each in counts),
            acknowledged=sum(each.acknowledged for each in counts),
            refused=sum(each.refused for each in counts),
            desired=self._application.counts.sent if self._application else 0,
        )

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

        def connect(endpoint: Endpoint, name: str) -> None:
            random = Random(f"{self.options.seed}/{name}/backoff")
            started.append(tasks.create_task(keep_connected(network, endpoint, random), name=name))

        self._application = self._make_application()
        connect(self._observer, "observer")
        connect(self._application, "application")
        await self._observer.connected.wait()
        started.append(tasks.create_task(self._keep_retrying(), name="retries"))
        self._started_at = self._clock()
        self.phase = Phase.RUNNING
        await self._carry_out(connect)
        self.phase = Phase.CONVERGING
        await self._converge()
        self._summary = self._compare()
        for device in self._switched_on():
            device.say_goodbye()
        for task in started:
            task.cancel()

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

    async def _carry_out(self, connect: Callable[[Endpoint, str], None]) -> None:
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

    def _take(self, planned: Planned, connect: Callable[[Endpoint, str], None]) -> None:
        if isinstance(planned, DesiredChange):
            if self._application is not None:
                self._application.desire(planned)
            return
        device = self._devices[planned.device]
        if not device.is_on:
            boot = boot_of(self.options.seed, device.id, self._found[device.id])
            device.switch_on(boot, prefix=self.options.prefix, encoding=self.options.encoding)
            connect(device, device.id)
        device.report(planned.patch, full=planned.full)

    async def _keep_retrying(self) -> None:
        while True:
            await asyncio.sleep(_RETRY_INTERVAL_S)
            for device in self._switched_on():
                if device.unanswered:
                    device.flush()
            if self._application is not None:
                self._application.flush()

    async def _converge(self) -> None:
        """Wait until every twin is as it should be, or for as long as that may take."""
        unsettled = {device.id for device in self._switched_on()}
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
        acknowledged = self._devices[device].acknowledged_version
        if application is not None:
            if application.waits_for(device):
                return False
            acknowledged = max(acknowledged, application.acknowledged_versions.get(device, 0))
        return is_settled(self._devices[device], self._observer.twins[device], acknowledged)

    def _compare(self) -> Summary:
        elapsed_s = self._clock() - self._started_at if self._started_at else 0.0
        return summarize(
            self._switched_on(),
            self._observer,
            self._application,
            self._found,
            elapsed_s,
            seed=self.options.seed,
            interrupted=self._stopping.is_set(),
        )

    def _switched_on(self) -> list[SimulatedDevice]:
        return [device for device in self._devices.values() if device.is_on]

    def _ramp_s(self) -> float:
        return switched_on_s(len(self._kinds), self.options)

    def _answered(self, device: str, answer: Answered, sent_at: float) -> None:
        if answer.changed and not answer.duplicate:
            self._observer.acknowledged(device, answer.version, sent_at)

    def _touch(self, device: str) -> None:
        self._touched.add(device)
        self._arrived.set()
