"""Scenarios: what their files say, and what a fleet is to do by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from device_sim.kinds import KINDS
from device_sim.options import fleet_options
from device_sim.plan import (
    DesiredChange,
    PlannedFault,
    PlannedPower,
    PlannedReport,
    fleet_of,
    timeline,
)
from device_sim.rates import Rates
from device_sim.scenarios import SCENARIOS, Scenario, read_scenario
from device_sim.scenarios.scenario import OWN_RATE
from device_sim.scenarios.selection import Member, Selection, members_of

_STORY = """\
about: a story
devices: 40
kinds:
  bell:
    about: a bell
    every: 10s
    fields:
      rings: {rising: {per_hour: 60}}
      volume_pct: {fixed: 50, obeys: {between: {low: 0, high: 100}}}
fleet:
  - {kind: bell, share: 75%}
  - {kind: lamp, share: 25%}
districts: 2
ramp: 20
phases:
  - {name: calm, for: 10s, rate: kind, desired_rate: 0}
  - name: trouble
    for: 20s
    rate: 2
    power_off: {district: 2, ramp: 10}
    desire:
      - {kind: bell, share: 50%, ramp: 5, patch: {volume_pct: 10}}
    faults: ["restart,at=5s", loss=10%]
  - {name: after, for: 5s, rate: 0, power_on: {district: 2}}
"""


def _read(tmp_path: Path, text: str = _STORY) -> Scenario:
    file = tmp_path / "story.yaml"
    file.write_text(text)
    return read_scenario(file)


def test_a_scenario_is_what_its_file_says(tmp_path: Path) -> None:
    """Fleet, phases, selections and faults."""
    scenario = _read(tmp_path)
    assert (scenario.name, scenario.about, scenario.devices) == ("story", "a story", 40)
    assert [(kind.name, share) for kind, share in scenario.kinds] == [
        ("bell", 0.75),
        ("lamp", 0.25),
    ]
    assert (scenario.districts, scenario.ramp_hz, scenario.duration_s) == (2, 20.0, 35.0)
    calm, trouble, after = scenario.phases
    assert (calm.rate_hz, calm.desired_rate_hz) == (OWN_RATE, 0)
    assert trouble.powers[0].selection == Selection(district=2)
    assert trouble.desires[0].selection == Selection(kind="bell", share=0.5)
    assert trouble.desires[0].patch == {"volume_pct": 10}
    assert [fault.kind for fault in trouble.faults] == ["restart", "loss"]
    assert after.powers[0].is_on
    assert [scenario.phase_at(at_s) for at_s in (-1, 0, 10, 29, 99)] == [
        "",
        "calm",
        "trouble",
        "trouble",
        "after",
    ]
    assert [(fault.start_s, fault.until_s) for fault in scenario.faults_from(100.0)] == [
        (110.0, 130.0),
        (110.0, 130.0),
    ]


@pytest.mark.parametrize(
    ("changed", "to", "says"),
    [
        ("    rate: 2", "    rte: 2", r"story\.yaml:19: phases\[1\]\.rte: .*did you mean rate"),
        ("loss=10%", "los=10%", r"story\.yaml:23: .*'los' is no fault: did you mean loss"),
        ("kind: lamp", "kind: lmp", "did you mean lamp"),
        ("share: 25%", "share: 35%", "the shares are 110% together"),
        ("district: 2, ramp", "district: 3, ramp", "3 is not from 1 to 2"),
        ("kind: bell, share: 50%", "kind: meter, share: 50%", "'meter' is not known"),
        ("patch: {volume_pct: 10}", "patch: {}", "what is desired"),
        ("for: 10s, rate", "for: 0s, rate", "above 0"),
        ("ramp: 20", "ramp: 0", "above 0"),
        ("about: a story\n", "", "about is missing"),
        ("every: 10s", "evry: 10s", r"kinds\.bell\.evry: .*did you mean every"),
        ("rate: kind", "rate: often", "a number is expected"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changed: str, to: str, says: str) -> None:
    """With file, line and the near name."""
    assert changed in _STORY
    with pytest.raises(ConfigError, match=says):
        _read(tmp_path, _STORY.replace(changed, to, 1))


def test_a_fleet_does_what_its_scenario_says(tmp_path: Path) -> None:
    """Each in its phase, which begins when all devices are there."""
    scenario = _read(tmp_path)
    options = fleet_options(scenario, seed=3, desired_rate_hz=0.0)
    fleet = fleet_of(options.devices, options.kinds, options.shares)
    assert sum(kind.name == "bell" for kind in fleet.values()) == 30
    steps = list(timeline(fleet, options))
    assert [each.at_s for each in steps] == sorted(each.at_s for each in steps)
    ramp_s = 2.0
    members = members_of(fleet, 2, 3)
    dark = {device for device, member in members.items() if member.district == 2}
    powers = [each for each in steps if isinstance(each, PlannedPower)]
    off = [each for each in powers if not each.is_on]
    assert {each.device for each in off} == dark == {each.device for each in powers if each.is_on}
    assert off[0].at_s == ramp_s + 10
    assert off[10].at_s == pytest.approx(ramp_s + 11)
    asked = [each for each in steps if isinstance(each, DesiredChange) and each.at_s < 32]
    assert all(each.patch == {"volume_pct": 10} for each in asked)
    assert 8 <= len(asked) <= 22
    strikes = [each for each in steps if isinstance(each, PlannedFault)]
    assert {each.at_s for each in strikes} == {ramp_s + 15}
    assert len(strikes) == 40
    reports = [each for each in steps if isinstance(each, PlannedReport) and not each.full]
    busy = [each for each in reports if 12 <= each.at_s < 32]
    assert len(busy) == pytest.approx(40 * 2 * 20, rel=0.15)
    assert not [each for each in reports if each.at_s >= 32]


def test_a_smaller_share_is_part_of_a_larger_one() -> None:
    """So a roll-out goes on where it began."""
    members = members_of(fleet_of(500, tuple(KINDS.values())), 1, 7)
    few, many = (
        {device for device, member in members.items() if Selection(share=share).takes(member)}
        for share in (0.1, 0.6)
    )
    assert few < many
    assert len(few) == pytest.approx(50, rel=0.4)
    assert not Selection(kind="lamp").takes(Member("bell", 1, 0.0))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_each_built_in_scenario_plans_the_same_for_the_same_seed(scenario: Scenario) -> None:
    """Reports, changes, faults and power."""
    options = fleet_options(scenario, devices=20, seed=7)
    fleet = fleet_of(options.devices, options.kinds, options.shares)
    first = list(timeline(fleet, options))
    assert first == list(timeline(fleet, options))
    assert first
    assert scenario.about


def test_a_scenario_has_its_own_duration_and_kinds() -> None:
    """What does not go together is said."""
    with pytest.raises(ValueError, match="its own kinds"):
        fleet_options(SCENARIOS["morning"], duration_s=5.0)


def test_a_rate_changes_with_time() -> None:
    """So many events on average, in each part."""
    rates = Rates(((0.0, 1.0), (10.0, 0.0), (20.0, 2.0), (30.0, 0.0)))
    assert [rates.after(0.0, events) for events in (5.0, 10.0, 12.0, 29.9)] == [
        5.0,
        20.0,
        21.0,
        pytest.approx(29.95),
    ]
    assert rates.after(0.0, 31.0) == float("inf")
    assert rates.from_time(20.0).after(0.0, 4.0) == 2.0
    assert rates.after(15.0, 2.0) == 21.0


def test_an_empty_battery_puts_a_device_out_for_a_time() -> None:
    """Its power goes and comes back; the next report has the new charge."""
    options = fleet_options(
        kinds=(KINDS["tracker"],), devices=1, rate_hz=1 / 600, duration_s=400_000.0
    )
    steps = list(timeline(fleet_of(1, options.kinds), options))
    powers = [each for each in steps if isinstance(each, PlannedPower)]
    assert powers
    for off, on in zip(powers[::2], powers[1::2], strict=True):
        assert (off.is_on, on.is_on, off.why) == (False, True, "battery")
        assert on.at_s - off.at_s == pytest.approx(60.0)
