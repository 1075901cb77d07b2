"""The kinds of device: what they report, how that drifts, what they obey."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from bridge.device import JsonValue
from device_sim.document import at_path, leaves, nested
from device_sim.kinds import KINDS, Field, Kind
from device_sim.kinds.drifts import Among, Battery, Daily, Moment, Rising, Walk
from device_sim.kinds.settings import Between, Numbers, Setting, Switch, Word
from device_sim.plan import planned_reports

_ALL = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_there_are_five_kinds() -> None:
    """Those that issue and documentation name."""
    assert set(KINDS) == {"thermostat", "lamp", "energy-meter", "tracker", "door-lock"}


@_ALL
def test_the_first_report_names_every_field_that_has_a_value(kind: Kind) -> None:
    """It is full, so it must be complete; a field without a value is not named."""
    first = next(planned_reports(kind, 1, "device", 1.0))
    assert first.full
    paths = {path for path, _ in leaves(first.patch)}
    optional = {each.path for each in kind.fields if each.drift.start(Random(1)) is None}
    assert {each.path for each in kind.fields} - paths <= optional | _may_be_absent(kind)


def _may_be_absent(kind: Kind) -> set[tuple[str, ...]]:
    return {
        each.path
        for each in kind.fields
        if isinstance(each.drift, Among) and None in each.drift.values
    }


@_ALL
def test_further_reports_are_partial(kind: Kind) -> None:
    """A device sends what belongs together, not everything."""
    reports = list(itertools.islice(planned_reports(kind, 1, "device", 1.0), 1, 50))
    everything = len(kind.fields)
    assert all(not each.full and 0 < len(list(leaves(each.patch))) < everything for each in reports)


@_ALL
def test_a_kind_obeys_what_may_be_desired_of_it(kind: Kind) -> None:
    """Every drawn value is taken, and nothing else of a desired document is."""
    random = Random(3)
    for path, setting in kind.settings.items():
        value = setting.draw(random)
        desired = nested(path, value) | {"unknown": 1}
        assert kind.obeyed(desired) == nested(path, value)
    assert kind.settings


@_ALL
def test_a_field_keeps_its_type(kind: Kind) -> None:
    """A number with decimals stays one, so that a difference of types is never the simulator's."""
    types: dict[tuple[str, ...], set[type]] = {}
    for report in itertools.islice(planned_reports(kind, 5, "device", 1.0), 300):
        for each in kind.fields:
            value = at_path(report.patch, each.path)
            if isinstance(value, bool | int | float | str | list):
                types.setdefault(each.path, set()).add(type(value))
    assert {path: len(seen) for path, seen in types.items() if len(seen) > 1} == {}


@pytest.mark.parametrize(
    ("setting", "value", "takes"),
    [
        (Switch(), True, True),
        (Switch(), 1, False),
        (Between(1, 100), 100, True),
        (Between(1, 100), 101, False),
        (Between(1, 100), 1.5, False),
        (Between(1, 100), 2.0, True),
        (Between(1, 100), True, False),
        (Between(5, 30, decimals=1), 21.5, True),
        (Between(5, 30, decimals=1), "21.5", False),
        (Word(("day", "night")), "day", True),
        (Word(("day", "night")), "noon", False),
        (Word(("day", "night")), None, False),
        (Numbers(1, 9, most=2), [1, 9], True),
        (Numbers(1, 9, most=2), [], True),
        (Numbers(1, 9, most=2), [1, 2, 3], False),
        (Numbers(1, 9, most=2), [10], False),
        (Numbers(1, 9, most=2), [True], False),
        (Numbers(1, 9, most=2), 1, False),
    ],
)
def test_a_setting_takes_only_what_fits(setting: Setting, value: JsonValue, takes: bool) -> None:
    """A device passes over what it cannot be set to."""
    assert setting.takes(value) is takes


def test_numbers_stay_within_their_bounds() -> None:
    """A walk is stopped at either end."""
    random = Random(1)
    walk = Walk(0, 10, stride=7, decimals=1)
    value = walk.start(random)
    for _ in range(200):
        value = walk.step(value, Moment(0, 0), random)
        assert isinstance(value, float)
        assert 0 <= value <= 10


def test_a_meter_never_runs_backwards() -> None:
    """What it counts only grows, and with the time that has passed."""
    random = Random(1)
    meter = Rising(per_hour=3600, start_below=10)
    start = meter.start(random)
    later = meter.step(start, Moment(100, 100), random)
    assert isinstance(start, int)
    assert isinstance(later, int)
    assert start + 50 <= later <= start + 150


def test_a_battery_drains_and_is_replaced() -> None:
    """It never falls below empty."""
    random = Random(1)
    battery = Battery(per_hour=50)
    left = battery.step(80.0, Moment(3600, 3600), random)
    assert isinstance(left, float)
    assert 5.0 <= left <= 55.0
    assert battery.step(1.0, Moment(3600, 3600), random) == 100.0


def test_a_day_has_a_cold_and_a_warm_end() -> None:
    """Half a day after the start it is warmest."""
    daily = Daily(mean=20, swing=5, noise=0)
    assert daily.start(Random(1)) == 15.0
    assert daily.step(15.0, Moment(43_200, 1), Random(1)) == 25.0


def test_a_message_without_fields_is_refused() -> None:
    """A typing error in a declaration is found when it is declared."""
    with pytest.raises(ValueError, match="no fields"):
        Kind("x", "a mistake", (Field("a.b", Walk(0, 1, 1)),), ((("c",), 1.0),))
