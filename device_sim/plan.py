"""What a fleet will send, decided by the seed alone.

Every device has its own source of randomness, derived from the seed and its id, and a time of its
own that the plan advances. Nothing that comes over the network enters a plan, so the same seed
gives the same reports, whatever the broker and the bridge do. That is also why a drifting field
does not start over from a value that someone desired.

What a device sends in answer to a delta is not planned: when it comes depends on the network.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple, TypeAlias, TypeVar

from bridge.device import JsonObject, JsonValue
from device_sim.document import apply_patch, nested
from device_sim.faults import DeviceFaults, FaultPlan, Strike
from device_sim.kinds.base import Field, Kind, Path
from device_sim.kinds.drifts import Battery, Moment
from device_sim.options import FleetOptions
from device_sim.rates import Rates
from device_sim.scenarios import Scenario
from device_sim.scenarios.scenario import Desire, Power
from device_sim.scenarios.selection import Member, members_of

RIVAL_MARK = "#2"
"""Behind a device's id: a second device that has the same id."""

WRITER = "simulator"
"""The name under which the simulated application writes `desired`."""


class PlannedReport(NamedTuple):
    """One report of one device.

    Attributes:
        at_s: Model time, in seconds since the device was switched on, or since the run began
            where it comes from `timeline`.
        device: Whose `reported` it patches.
        patch: What changed; everything where `full`.
        full: The first one names everything.
        off_s: Before it the device was off for so long, with an empty battery.
    """

    at_s: float
    device: str
    patch: JsonObject
    full: bool
    off_s: float = 0.0


class DesiredChange(NamedTuple):
    """One change that the simulated application asks for.

    Attributes:
        at_s: Model time, in seconds since the run began.
        device: Whose `desired` it patches.
        patch: What is desired.
    """

    at_s: float
    device: str
    patch: JsonObject

    def topic(self, prefix: str) -> str:
        """Return where it is published."""
        return f"{prefix}/{self.device}/desire/{WRITER}"


class PlannedFault(NamedTuple):
    """A fault that happens to a device at a time of its own.

    Attributes:
        at_s: Model time, in seconds since the run began.
        device: To which.
        strike: What.
    """

    at_s: float
    device: str
    strike: Strike


class PlannedPower(NamedTuple):
    """The power of a device goes, or comes back.

    Attributes:
        at_s: Model time, in seconds since the run began.
        device: Of which.
        is_on: Whether there is power from now on.
        why: `battery`, or the phase of the scenario.
    """

    at_s: float
    device: str
    is_on: bool
    why: str


Planned: TypeAlias = PlannedReport | DesiredChange | PlannedFault | PlannedPower
_Item = TypeVar("_Item", bound=Planned)


def fleet_of(devices: int, kinds: Sequence[Kind], shares: Sequence[float] = ()) -> dict[str, Kind]:
    """Return the ids of a fleet with their kinds.

    Args:
        devices: How many.
        kinds: Which.
        shares: How much of the fleet each kind is; by default they take turns.
    """
    counts = dict.fromkeys((kind.name for kind in kinds), 0)
    fleet: dict[str, Kind] = {}
    for kind in itertools.islice(_in_turn(kinds, shares), devices):
        counts[kind.name] += 1
        fleet[f"{kind.name}-{counts[kind.name]:04}"] = kind
    return fleet


def _in_turn(kinds: Sequence[Kind], shares: Sequence[float]) -> Iterator[Kind]:
    """Yield kinds so that after any number of them each has about its share."""
    if not shares:
        yield from itertools.cycle(kinds)
    taken = [0] * len(kinds)
    for number in itertools.count(1):
        behind = [share * number - count for share, count in zip(shares, taken, strict=True)]
        index = behind.index(max(behind))
        taken[index] += 1
        yield kinds[index]


def boot_of(seed: int, device: str, found_version: int) -> str:
    """Return the boot id with which a device starts.

    The version of the twin that is found enters: a second run with the same seed is a new boot
    to a bridge that remembers the first, and on an empty bridge the seed alone decides.
    """
    return hashlib.blake2b(f"{seed}/{device}/{found_version}".encode(), digest_size=8).hexdigest()


def switched_on_s(index: int, options: FleetOptions) -> float:
    """Return when the device with this number (from 0) is switched on, in model time."""
    return index / options.ramp_hz


def timeline(fleet: Mapping[str, Kind], options: FleetOptions) -> Iterator[Planned]:
    """Yield what the whole fleet, the application and fate do, in the order of model time.

    Each device reports for `options.duration_s` from its own start, and in a scenario to the
    scenario's end; the application begins when all devices are there and ends when the last device
    does. Scenarios begin when all devices are there.
    """
    ramp_s = switched_on_s(len(fleet), options)
    scenario = options.scenario
    total_s = None if options.duration_s is None else ramp_s + options.duration_s
    faults = fault_plan(options, len(fleet))
    sources: list[Iterator[Planned]] = []
    for index, (device, kind) in enumerate(fleet.items()):
        start_s = switched_on_s(index, options)
        sources.append(_of_device(kind, device, start_s, ramp_s, options))
        if (mine := faults.of_device(device)) is not None:
            sources.append(_strikes(device, mine, start_s, total_s))
            for fault in mine.traits:
                if fault.kind == "same-id":
                    begins_s = max(start_s, fault.start_s)
                    rival = device + RIVAL_MARK
                    sources.append(_of_device(kind, rival, begins_s, ramp_s, options))
    rates = Rates.of(options.desired_rate_hz, scenario, "desired_rate_hz", ramp_s)
    changes = planned_changes(fleet, options.seed, rates.from_time(ramp_s))
    sources.append(
        change._replace(at_s=ramp_s + change.at_s) for change in _until(options.duration_s, changes)
    )
    if scenario is not None:
        sources.append(_steps(fleet, scenario, options, ramp_s))
    return heapq.merge(*sources, key=lambda planned: planned.at_s)


def fault_plan(options: FleetOptions, devices: int) -> FaultPlan:
    """Return all faults of a run, with times since it began."""
    scenario = options.scenario
    if scenario is None:
        return FaultPlan(options.seed, options.faults)
    return FaultPlan(
        options.seed, options.faults + scenario.faults_from(switched_on_s(devices, options))
    )


def _of_device(
    kind: Kind, device: str, start_s: float, ramp_s: float, options: FleetOptions
) -> Iterator[Planned]:
    own_hz = 1 / kind.interval_s if options.rate_hz is None else options.rate_hz
    rates = Rates.of(own_hz, options.scenario, "rate_hz", ramp_s, 1 / kind.interval_s)
    duration_s = options.duration_s
    if options.scenario is not None and duration_s is not None:
        duration_s += ramp_s - start_s
    reports = planned_reports(kind, options.seed, device, rates.from_time(start_s))
    for report in _until(duration_s, reports):
        at_s = start_s + report.at_s
        if report.off_s:
            yield PlannedPower(at_s - report.off_s, device, is_on=False, why="battery")
            yield PlannedPower(at_s, device, is_on=True, why="battery")
        yield report._replace(at_s=at_s)


def _strikes(
    device: str, faults: DeviceFaults, start_s: float, total_s: float | None
) -> Iterator[Planned]:
    for strike in faults.scheduled():
        if total_s is not None and strike.at_s > total_s:
            return
        if strike.at_s >= start_s:
            yield PlannedFault(strike.at_s, device, strike)


def _steps(
    fleet: Mapping[str, Kind], scenario: Scenario, options: FleetOptions, ramp_s: float
) -> Iterator[Planned]:
    """Yield what the phases of a scenario do, which may overlap with the next ones."""
    members = members_of(fleet, scenario.districts, options.seed)
    sources: list[Iterator[Planned]] = []
    for start_s, phase in scenario.begins():
        begins_s = ramp_s + start_s
        sources += [_powered(power, members, begins_s, phase.name) for power in phase.powers]
        sources += [_desired(desire, members, begins_s) for desire in phase.desires]
    return heapq.merge(*sources, key=lambda planned: planned.at_s)


def _powered(
    power: Power, members: Mapping[str, Member], begins_s: float, why: str
) -> Iterator[Planned]:
    for at_s, device in power.paced(members, begins_s):
        yield PlannedPower(at_s, device, power.is_on, why)


def _desired(desire: Desire, members: Mapping[str, Member], begins_s: float) -> Iterator[Planned]:
    for at_s, device in desire.paced(members, begins_s):
        yield DesiredChange(at_s, device, desire.patch)


def _until(duration_s: float | None, plan: Iterator[_Item]) -> Iterator[_Item]:
    if duration_s is None:
        return plan
    return itertools.takewhile(lambda item: item.at_s <= duration_s, plan)


def planned_reports(
    kind: Kind, seed: int, device: str, rate_hz: float | Rates
) -> Iterator[PlannedReport]:
    """Yield a device's reports: one that is full, then patches at random intervals without end.

    Args:
        kind: What it is.
        seed: The run's seed.
        device: Its id.
        rate_hz: Patches per second on average (a Poisson process); with 0 there are none.
    """
    rates = rate_hz if isinstance(rate_hz, Rates) else Rates(((0.0, rate_hz),))
    random = Random(f"{seed}/{device}/reports")
    values: dict[Path, JsonValue] = {each.path: each.drift.start(random) for each in kind.fields}
    changed_at_s = dict.fromkeys(values, 0.0)
    yield PlannedReport(0.0, device, _patch(kind.fields, values, nulls=False), full=True)
    at_s = 0.0
    while (at_s := rates.after(at_s, random.expovariate(1.0))) < math.inf:
        (part,) = random.choices(kind.parts, kind.weights)
        off_s = 0.0
        for each in part:
            moment = Moment(at_s, at_s - changed_at_s[each.path])
            before = values[each.path]
            values[each.path] = each.drift.step(before, moment, random)
            changed_at_s[each.path] = at_s
            if isinstance(each.drift, Battery):
                off_s = each.drift.off_s(before, values[each.path])
        at_s += off_s
        yield PlannedReport(at_s, device, _patch(part, values, nulls=True), full=False, off_s=off_s)


def planned_changes(
    fleet: Mapping[str, Kind], seed: int, rate_hz: float | Rates
) -> Iterator[DesiredChange]:
    """Yield what the application asks of the fleet, without end.

    Args:
        fleet: Ids and kinds.
        seed: The run's seed.
        rate_hz: Changes per second on average for the whole fleet; with 0 there are none.
    """
    rates = rate_hz if isinstance(rate_hz, Rates) else Rates(((0.0, rate_hz),))
    random = Random(f"{seed}/desired")
    ids = [device for device, kind in fleet.items() if kind.settings]
    at_s = 0.0
    while ids and (at_s := rates.after(at_s, random.expovariate(1.0))) < math.inf:
        device = random.choice(ids)
        path, setting = random.choice(list(fleet[device].settings.items()))
        yield DesiredChange(at_s, device, nested(path, setting.draw(random)))


def _patch(fields: Sequence[Field], values: Mapping[Path, JsonValue], *, nulls: bool) -> JsonObject:
    patch: JsonObject = {}
    for each in fields:
        value = values[each.path]
        if value is not None:
            apply_patch(patch, nested(each.path, value))
        elif nulls:
            _set_null(patch, each.path)
    return patch


def _set_null(patch: JsonObject, path: Path) -> None:
    """Name a removal in a patch, where merging would carry it out."""
    *above, last = path
    for key in above:
        below = patch.setdefault(key, {})
        if not isinstance(below, dict):
            raise TypeError(f"{'.'.join(path)} lies below a value")
        patch = below
    patch[last] = None
