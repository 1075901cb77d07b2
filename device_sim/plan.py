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
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple, TypeAlias, TypeVar

from bridge.device import JsonObject, JsonValue
from device_sim.document import apply_patch, nested
from device_sim.kinds.base import Field, Kind, Path
from device_sim.kinds.drifts import Moment
from device_sim.options import FleetOptions

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
    """

    at_s: float
    device: str
    patch: JsonObject
    full: bool


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


Planned: TypeAlias = PlannedReport | DesiredChange
_Item = TypeVar("_Item", PlannedReport, DesiredChange)


def fleet_of(devices: int, kinds: Sequence[Kind]) -> dict[str, Kind]:
    """Return the ids of a fleet with their kinds, which take turns."""
    counts = dict.fromkeys((kind.name for kind in kinds), 0)
    fleet: dict[str, Kind] = {}
    for kind in itertools.islice(itertools.cycle(kinds), devices):
        counts[kind.name] += 1
        fleet[f"{kind.name}-{counts[kind.name]:04}"] = kind
    return fleet


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
    """Yield what the whole fleet and the application do, in the order of model time.

    Each device reports for `options.duration_s` from its own start; the application begins when
    all devices are there and ends when the last device does.
    """
    ramp_s = switched_on_s(len(fleet), options)
    sources: list[Iterator[Planned]] = [
        _reports_of_run(kind, device, switched_on_s(index, options), options)
        for index, (device, kind) in enumerate(fleet.items())
    ]
    changes = planned_changes(fleet, options.seed, options.desired_rate_hz)
    sources.append(
        change._replace(at_s=ramp_s + change.at_s) for change in _until(options.duration_s, changes)
    )
    return heapq.merge(*sources, key=lambda planned: planned.at_s)


def _reports_of_run(
    kind: Kind, device: str, start_s: float, options: FleetOptions
) -> Iterator[PlannedReport]:
    rate_hz = 1 / kind.interval_s if options.rate_hz is None else options.rate_hz
    reports = planned_reports(kind, options.seed, device, rate_hz)
    for report in _until(options.duration_s, reports):
        yield report._replace(at_s=start_s + report.at_s)


def _until(duration_s: float | None, plan: Iterator[_Item]) -> Iterator[_Item]:
    if duration_s is None:
        return plan
    return itertools.takewhile(lambda item: item.at_s <= duration_s, plan)


def planned_reports(kind: Kind, seed: int, device: str, rate_hz: float) -> Iterator[PlannedReport]:
    """Yield a device's reports: one that is full, then patches at random intervals without end.

    Args:
        kind: What it is.
        seed: The run's seed.
        device: Its id.
        rate_hz: Patches per second on average (a Poisson process); with 0 there are none.
    """
    random = Random(f"{seed}/{device}/reports")
    values: dict[Path, JsonValue] = {each.path: each.drift.start(random) for each in kind.fields}
    changed_at_s = dict.fromkeys(values, 0.0)
    yield PlannedReport(0.0, device, _patch(kind.fields, values, nulls=False), full=True)
    at_s = 0.0
    while rate_hz > 0:
        at_s += random.expovariate(rate_hz)
        (part,) = random.choices(kind.parts, kind.weights)
        for each in part:
            moment = Moment(at_s, at_s - changed_at_s[each.path])
            values[each.path] = each.drift.step(values[each.path], moment, random)
            changed_at_s[each.path] = at_s
        yield PlannedReport(at_s, device, _patch(part, values, nulls=True), full=False)


def planned_changes(
    fleet: Mapping[str, Kind], seed: int, rate_hz: float
) -> Iterator[DesiredChange]:
    """Yield what the application asks of the fleet, without end.

    Args:
        fleet: Ids and kinds.
        seed: The run's seed.
        rate_hz: Changes per second on average for the whole fleet; with 0 there are none.
    """
    random = Random(f"{seed}/desired")
    ids = [device for device, kind in fleet.items() if kind.settings]
    at_s = 0.0
    while rate_hz > 0 and ids:
        at_s += random.expovariate(rate_hz)
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
