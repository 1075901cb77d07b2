"""Latencies, and what is seen of a twin from outside."""

from __future__ import annotations

import pytest

from bridge.device import JsonObject
from device_sim.latency import Latencies
from device_sim.watch import TwinWatch


def _state(version: int, **reported: int) -> JsonObject:
    return {"version": version, "at": 1, "reported": {**reported}, "desired": {}, "online": True}


def test_quantiles_are_exact_to_a_percent() -> None:
    """Whatever their number, from microseconds to hours."""
    latencies = Latencies()
    for milliseconds in range(1, 10_001):
        latencies.add(milliseconds / 1000)
    assert latencies.quantile_s(0.5) == pytest.approx(5.0, rel=0.01)
    assert latencies.quantile_s(0.99) == pytest.approx(9.9, rel=0.01)
    assert latencies.quantile_s(1.0) == pytest.approx(10.0, rel=0.01)
    assert latencies.count == 10_000
    assert latencies.longest_s == 10.0


def test_without_latencies_there_is_no_quantile() -> None:
    """Nothing was measured, so nothing is said."""
    assert Latencies().quantile_s(0.5) is None


def test_latency_ends_with_the_state_whether_reply_or_state_comes_first() -> None:
    """From the publish to the first state that has the reply's version, or a later one."""
    watch, latencies = TwinWatch(), Latencies()
    watch.seen(_state(1), 10.0, latencies, Latencies())
    watch.seen(_state(3), 20.5, latencies, Latencies())
    watch.acknowledged(2, 20.0, latencies)
    assert latencies.longest_s == pytest.approx(0.5)
    watch.acknowledged(4, 30.0, latencies)
    assert latencies.count == 1
    watch.seen(_state(5), 32.0, latencies, Latencies())
    assert latencies.count == 2
    assert latencies.longest_s == pytest.approx(2.0)


def test_a_state_from_before_the_report_is_not_its_state() -> None:
    """What was retained before the run never counts."""
    watch, latencies = TwinWatch(), Latencies()
    watch.seen(_state(100), 1.0, latencies, Latencies())
    watch.acknowledged(2, 5.0, latencies)
    assert latencies.count == 0


def test_a_state_that_goes_back_is_counted_and_believed() -> None:
    """It is what the broker retains now, and it should never happen."""
    watch, latencies = TwinWatch(), Latencies()
    assert watch.seen(_state(2, a=2), 1.0, latencies, Latencies())
    assert not watch.seen(_state(2, a=2), 2.0, latencies, Latencies())
    assert watch.seen(_state(1, a=1), 3.0, latencies, Latencies())
    assert watch.went_back == 1
    assert watch.reported == {"a": 1}


@pytest.mark.parametrize("broken", [{}, {"version": 1}, {"version": "1", "reported": {}}])
def test_what_is_no_state_is_passed_over(broken: JsonObject) -> None:
    """Anyone may publish there where the broker has no access rules."""
    watch = TwinWatch()
    assert not watch.seen(broken, 1.0, Latencies(), Latencies())
    assert watch.version == 0


def test_a_cleared_state_leaves_nothing() -> None:
    """The twin was deleted."""
    watch = TwinWatch()
    watch.seen(_state(2, a=2), 1.0, Latencies(), Latencies())
    watch.cleared()
    assert watch.reported == {}
