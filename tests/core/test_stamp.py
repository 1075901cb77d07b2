"""The stamp rule, line by line."""

from __future__ import annotations

import pytest

from bridge.core.limits import TIME_MAX, YEAR_2020
from bridge.core.stamp import next_now, stamp_of

NOW = 1_795_000_000_000_000


def stamp(
    time: int | None = None,
    *,
    seen_is_current: bool = False,
    newest_met: int = 0,
    floor: int = 0,
    ceiling: int | None = None,
) -> int:
    """Return the stamp of an update that arrives at NOW."""
    return stamp_of(
        NOW,
        time=time,
        seen_is_current=seen_is_current,
        newest_met=newest_met,
        floor=floor,
        ceiling=ceiling,
    )


def test_now_never_goes_back() -> None:
    """Whatever the bridge's clock does."""
    assert next_now(100, 50) == 100
    assert next_now(100, 100) == 101
    assert next_now(5, 100) == 101


@pytest.mark.parametrize("time", [None, 0, -5, YEAR_2020 - 1, NOW + 1, TIME_MAX, 2**62])
def test_a_clock_that_is_unset_or_runs_ahead_counts_as_none(time: int | None) -> None:
    """1970, negative, and the future."""
    assert stamp(time) == NOW


@pytest.mark.parametrize("time", [YEAR_2020, NOW - 1, NOW])
def test_a_plausible_clock_is_taken(time: int) -> None:
    """From 2020 to now."""
    assert stamp(time) == time


def test_who_had_seen_the_present_overwrites_it() -> None:
    """Whatever the writer's clock says."""
    assert stamp(YEAR_2020, seen_is_current=True) == NOW


def test_who_had_seen_a_value_wins_over_it() -> None:
    """The stamp is larger than that of every register it meets and had seen."""
    assert stamp(YEAR_2020, newest_met=YEAR_2020 + 5) == YEAR_2020 + 6


def test_a_writers_own_messages_keep_their_order() -> None:
    """The stamp is clamped between the neighbours', not strictly, and this comes last."""
    assert stamp(YEAR_2020, floor=YEAR_2020 + 9) == YEAR_2020 + 9
    assert stamp(ceiling=NOW - 7) == NOW - 7
    assert stamp(newest_met=NOW - 2, ceiling=NOW - 7) == NOW - 7
