"""So many a second, and no more."""

from __future__ import annotations

import pytest

from bridge.service.pace import BURST_S, Pace


def taken(pace: Pace, begin: float, seconds: float, step_s: float) -> int:
    """How often leave is given to who asks all the time."""
    steps = round(seconds / step_s)
    return sum(pace.take(begin + step * step_s) for step in range(steps))


@pytest.mark.parametrize("per_s", [1, 7, 100, 5000])
def test_leave_is_given_so_many_times_a_second(per_s: int) -> None:
    """And what may be taken at once is a tenth of a second's worth."""
    pace = Pace(per_s)
    count = taken(pace, 1000.0, 10.0, 1 / 10_000)
    assert 10 * per_s <= count <= 10 * per_s + max(1, BURST_S * per_s)
    at_once = sum(pace.take(2000.0) for _ in range(10_000))
    assert at_once == max(1, int(per_s * BURST_S))


def test_there_is_leave_at_the_time_that_is_told() -> None:
    """So that who sleeps until then does not sleep in vain, nor turn for ever."""
    pace = Pace(3)
    now = 5.0
    for _ in range(100):
        assert pace.take(now)
        assert not pace.take(now)
        now = pace.next_at()


def test_what_was_not_taken_is_not_saved_up() -> None:
    """After an hour without a question there is no flood."""
    pace = Pace(100)
    pace.take(0.0)
    assert sum(pace.take(3600.0) for _ in range(1000)) == 10
