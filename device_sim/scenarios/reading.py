"""Scenarios from a YAML file: see `power-cut.yaml` beside this file, and docs/simulator.md."""

from __future__ import annotations

import math
from pathlib import Path

from bridge.device import JsonObject
from device_sim.declarations import Item, Members
from device_sim.faults import Fault, parse_fault
from device_sim.kinds import KINDS, Kind, kinds_in
from device_sim.scenarios.scenario import OWN_RATE, Desire, Power, Scenario, ScenarioPhase
from device_sim.scenarios.selection import Selection

DISTRICTS_MAX = 1_000
PHASES_MAX = 1_000

_DEFAULT_DEVICES = 100
_DEFAULT_RAMP_HZ = 200.0


def read_scenario(path: Path) -> Scenario:
    """Read a scenario from a file.

    Raises:
        ConfigError: It cannot be read, or something in it is wrong; the message names file, line
            and member.
    """
    return scenario_in(Members.of_file(path), path.stem)


def scenario_in(members: Members, name: str) -> Scenario:
    """Return the scenario that a file declares.

    Raises:
        ConfigError: Something in it is wrong.
    """
    about = members.take("about").text()
    devices = members.take_if("devices")
    own_kinds = members.take_if("kinds")
    fleet = members.take_if("fleet")
    districts = members.take_if("districts")
    ramp = members.take_if("ramp")
    phases = members.take("phases")
    members.end()
    known = dict(KINDS)
    if own_kinds is not None:
        known |= {kind.name: kind for kind in kinds_in(own_kinds.members())}
    district_count = districts.integer(1, DISTRICTS_MAX) if districts is not None else 1
    kinds = _fleet(fleet, known)
    return Scenario(
        name=name,
        about=about,
        devices=devices.integer(1) if devices is not None else _DEFAULT_DEVICES,
        kinds=kinds,
        districts=district_count,
        ramp_hz=_above_0(ramp) if ramp is not None else _DEFAULT_RAMP_HZ,
        phases=_phases(phases, [kind.name for kind, _ in kinds], district_count),
    )


def _fleet(item: Item | None, known: dict[str, Kind]) -> tuple[tuple[Kind, float], ...]:
    """Return kinds and shares; where nothing is said, an equal share of every kind."""
    if item is None:
        return tuple((kind, 1.0 / len(known)) for kind in known.values())
    shares: dict[str, float] = {}
    for each in item.items():
        members = each.members()
        kind, share = members.take("kind"), members.take("share")
        members.end()
        name = kind.name_of(known)
        if name in shares:
            kind.fail("it has a share already")
        shares[name] = share.share()
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=0.005):
        item.fail(f"the shares are {sum(shares.values()):.0%} together, not 100%")
    return tuple((known[name], share) for name, share in shares.items())


def _phases(item: Item, kinds: list[str], districts: int) -> tuple[ScenarioPhase, ...]:
    items = item.items()
    if not 1 <= len(items) <= PHASES_MAX:
        item.fail(f"from 1 to {PHASES_MAX} phases are expected")
    return tuple(_phase(each, kinds, districts) for each in items)


def _phase(item: Item, kinds: list[str], districts: int) -> ScenarioPhase:
    members = item.members()
    name, duration = members.take("name").text(), members.take("for")
    rate, desired_rate = members.take_if("rate"), members.take_if("desired_rate")
    faults = members.take_if("faults")
    powers = [
        _power(each, kinds, districts, is_on=is_on)
        for key, is_on in (("power_off", False), ("power_on", True))
        if (each := members.take_if(key)) is not None
    ]
    desires = members.take_if("desire")
    members.end()
    duration_s = duration.duration_s()
    if duration_s <= 0:
        duration.fail("it is above 0")
    return ScenarioPhase(
        name=name,
        duration_s=duration_s,
        rate_hz=_rate(rate) if rate is not None else None,
        desired_rate_hz=desired_rate.number(0) if desired_rate is not None else None,
        powers=tuple(powers),
        desires=tuple(
            _desire(each, kinds, districts) for each in (desires.items() if desires else ())
        ),
        faults=tuple(map(_fault, faults.items())) if faults is not None else (),
    )


def _rate(item: Item) -> float:
    if item.is_scalar and item.text() == "kind":
        return OWN_RATE
    return item.number(0)


def _above_0(item: Item) -> float:
    number = item.number(0)
    if number == 0:
        item.fail("it is above 0")
    return number


def _power(item: Item, kinds: list[str], districts: int, *, is_on: bool) -> Power:
    members = item.members()
    selection, ramp = _selection(members, kinds, districts), members.take_if("ramp")
    members.end()
    return Power(selection, is_on, _above_0(ramp) if ramp is not None else None)


def _desire(item: Item, kinds: list[str], districts: int) -> Desire:
    members = item.members()
    selection, ramp = _selection(members, kinds, districts), members.take_if("ramp")
    wanted = members.take("patch")
    members.end()
    value = wanted.value()
    if not isinstance(value, dict) or not value:
        wanted.fail("a mapping of what is desired is expected")
    patch: JsonObject = value
    return Desire(selection, patch, _above_0(ramp) if ramp is not None else None)


def _selection(members: Members, kinds: list[str], districts: int) -> Selection:
    kind, share = members.take_if("kind"), members.take_if("share")
    district = members.take_if("district")
    return Selection(
        kind=kind.name_of(kinds) if kind is not None else "",
        district=district.integer(1, districts) if district is not None else 0,
        share=share.share() if share is not None else 1.0,
    )


def _fault(item: Item) -> Fault:
    try:
        return parse_fault(item.text())
    except ValueError as error:
        item.fail(str(error))
