"""What a fleet will send is decided by the seed alone."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from device_sim.kinds import KINDS
from device_sim.options import FleetOptions
from device_sim.plan import (
    DesiredChange,
    PlannedReport,
    boot_of,
    fleet_of,
    planned_changes,
    planned_reports,
    timeline,
)

_KINDS = tuple(KINDS.values())


def test_kinds_take_turns_and_are_numbered_each() -> None:
    """The first device of each kind is its number one."""
    assert list(fleet_of(7, _KINDS[:3])) == [
        "thermostat-0001",
        "lamp-0001",
        "energy-meter-0001",
        "thermostat-0002",
        "lamp-0002",
        "energy-meter-0002",
        "thermostat-0003",
    ]


def test_the_same_seed_plans_the_same() -> None:
    """Twice the same timeline, and another one for another seed."""
    options = FleetOptions(devices=12, rate_hz=5, desired_rate_hz=3, duration_s=20, seed=7)
    other = FleetOptions(devices=12, rate_hz=5, desired_rate_hz=3, duration_s=20, seed=8)
    fleet = fleet_of(12, _KINDS)
    assert list(timeline(fleet, options)) == list(timeline(fleet, options))
    assert list(timeline(fleet, options)) != list(timeline(fleet, other))


def test_a_device_reports_the_same_in_any_fleet() -> None:
    """How many others there are does not enter."""
    small, large = (
        [
            each.patch
            for each in timeline(fleet_of(n, _KINDS), FleetOptions(devices=n, duration_s=20))
            if isinstance(each, PlannedReport) and each.device == "lamp-0001"
        ]
        for n in (2, 40)
    )
    assert small == large
    assert len(small) > 5


def test_the_timeline_is_in_order_and_ends() -> None:
    """Each device begins at its turn with a full report, and ends after its time."""
    options = FleetOptions(devices=10, rate_hz=4, desired_rate_hz=2, duration_s=10, ramp_hz=5)
    steps = list(timeline(fleet_of(10, _KINDS), options))
    assert [each.at_s for each in steps] == sorted(each.at_s for each in steps)
    firsts = [each for each in steps if isinstance(each, PlannedReport) and each.full]
    assert [each.at_s for each in firsts] == pytest.approx([n / 5 for n in range(10)])
    assert steps[-1].at_s <= 12.0
    changes = [each for each in steps if isinstance(each, DesiredChange)]
    assert all(each.at_s >= 2.0 for each in changes)
    assert changes


def test_rates_are_kept_on_average() -> None:
    """Over a long time the number of messages is the rate times the time."""
    reports = itertools.takewhile(
        lambda each: each.at_s < 1000, planned_reports(KINDS["lamp"], 1, "lamp-0001", 2.0)
    )
    assert sum(1 for _ in reports) == pytest.approx(2000, rel=0.1)
    changes = itertools.takewhile(
        lambda each: each.at_s < 1000, planned_changes(fleet_of(5, _KINDS), 1, 2.0)
    )
    assert sum(1 for _ in changes) == pytest.approx(2000, rel=0.1)


def test_without_a_rate_each_kind_keeps_its_own() -> None:
    """A meter talks more often than a lock."""
    options = FleetOptions(devices=5, rate_hz=None, desired_rate_hz=0, duration_s=3600)
    counts = Counter(each.device for each in timeline(fleet_of(5, _KINDS), options))
    assert counts["energy-meter-0001"] == pytest.approx(360, rel=0.2)
    assert counts["door-lock-0001"] == pytest.approx(30, rel=0.5)


def test_without_a_rate_there_is_only_the_first_report() -> None:
    """A fleet that is merely there."""
    options = FleetOptions(devices=3, rate_hz=0, desired_rate_hz=0)
    assert [each.at_s for each in timeline(fleet_of(3, _KINDS), options)] == [0.0, 0.005, 0.01]


def test_a_boot_depends_on_seed_device_and_the_twin_that_is_found() -> None:
    """A second run with the same seed is another boot to a bridge that remembers the first."""
    boots = [boot_of(7, "lamp-1", 0), boot_of(8, "lamp-1", 0), boot_of(7, "lamp-2", 0)]
    boots.append(boot_of(7, "lamp-1", 12))
    assert len(set(boots)) == 4
    assert boot_of(7, "lamp-1", 0) == boots[0]
    assert all(len(boot) == 16 and boot.isalnum() for boot in boots)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"devices": 0}, "devices"),
        ({"devices": 50_001}, "devices"),
        ({"kinds": ()}, "kinds"),
        ({"prefix": "a/+"}, "prefix"),
        ({"prefix": ""}, "prefix"),
        ({"prefix": "$SYS"}, "prefix"),
        ({"rate_hz": -1}, "rate_hz"),
        ({"desired_rate_hz": -1}, "desired_rate_hz"),
        ({"ramp_hz": 0}, "ramp_hz"),
        ({"duration_s": -1}, "duration_s"),
        ({"find_s": 0}, "find_s"),
    ],
)
def test_options_out_of_their_range_are_named(changed: dict[str, object], named: str) -> None:
    """The error says which option it is."""
    with pytest.raises(ValueError, match=named):
        FleetOptions(**changed)  # type: ignore[arg-type]
