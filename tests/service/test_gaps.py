"""When a device is asked for what has not arrived: the clock is the test's."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bridge.core.topics import TwinKey
from bridge.service import gaps as module
from bridge.service.gaps import INTERVAL_MAX_S, Gap, Gaps, Missing

LAMP = TwinKey("lamp-1")
TIMEOUT_S = 10.0
INTERVAL_S = 60.0


@pytest.fixture
def gaps() -> Gaps:
    """Nothing is missing yet."""
    return Gaps(TIMEOUT_S, INTERVAL_S)


def asked(gaps: Gaps, until: float) -> list[tuple[float, Gap]]:
    """Let the time pass, and return who was asked when."""
    found = []
    while (next_at := gaps.next_at()) is not None and next_at <= until:
        gap = gaps.take_due(next_at)
        if gap is not None:
            found.append((next_at, gap))
    return found


def times(gaps: Gaps, until: float) -> list[float]:
    """When somebody was asked."""
    return [at for at, _ in asked(gaps, until)]


def test_a_gap_is_asked_for_after_the_timeout_and_not_before(gaps: Gaps) -> None:
    """With its boot, and all that is missing by then."""
    gaps.note(LAMP, "b", ((3, 4),), 100.0)
    assert gaps.take_due(100.0 + TIMEOUT_S - 0.001) is None
    gaps.note(LAMP, "b", ((3, 3), (7, 9)), 105.0)
    assert asked(gaps, 120.0) == [(110.0, Gap(LAMP, "b", ((3, 3), (7, 9))))]


def test_a_gap_that_is_filled_in_time_is_not_asked_for(gaps: Gaps) -> None:
    """And nothing of it is remembered."""
    gaps.note(LAMP, "b", ((3, 4),), 100.0)
    gaps.note(LAMP, "b", (), 109.0)
    assert LAMP not in gaps
    assert gaps.next_at() is None


def test_a_twin_that_is_complete_costs_nothing(gaps: Gaps) -> None:
    """It is not entered anywhere."""
    gaps.note(LAMP, "b", (), 100.0)
    assert (len(gaps), gaps.next_at()) == (0, None)


def test_a_device_that_does_not_answer_is_asked_ever_more_seldom(gaps: Gaps) -> None:
    """After the interval, then twice as long each time, up to a day."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    when = times(gaps, 30 * 24 * 3600.0)
    pauses = [after - before for before, after in pairwise(when)]
    assert pauses[:4] == [60, 120, 240, 480]
    assert max(pauses) == INTERVAL_MAX_S
    assert pauses[-10:] == [INTERVAL_MAX_S] * 10


def test_what_a_silent_device_goes_on_sending_does_not_make_it_be_asked_more(gaps: Gaps) -> None:
    """Neither that its gap is still there, nor that there are more of them."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    when = []
    missing: Missing = ((3, 4),)
    for second in range(3600):
        if second % 100 == 50:
            missing = (*missing, (10 * second, 10 * second))
        gaps.note(LAMP, "b", missing, float(second))
        when += times(gaps, float(second))
    assert when == [10, 70, 190, 430, 910, 1870]


@pytest.mark.parametrize("answers", [True, False])
def test_a_device_that_loses_messages_all_the_time_is_asked_once_an_interval(
    gaps: Gaps, answers: bool
) -> None:
    """And more seldom if it does not answer; that the oldest gaps are forgotten is no answer."""
    when = []
    missing: Missing = ()
    for second in range(600):
        missing = (*missing, (2 * second, 2 * second))[-4:]
        gaps.note(LAMP, "b", missing, float(second))
        found = times(gaps, float(second))
        if found and answers:
            missing = ()
            gaps.note(LAMP, "b", missing, float(second))
        when += found
    assert when == ([20 + 60 * n for n in range(10)] if answers else [20, 80, 200, 440])


def test_an_answer_makes_the_pauses_short_again_and_is_then_forgotten(gaps: Gaps) -> None:
    """The device is there after all."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    assert times(gaps, 200.0) == [10, 70, 190]
    gaps.note(LAMP, "b", (), 200.0)
    assert LAMP in gaps
    gaps.note(LAMP, "b", ((9, 9),), 230.0)
    assert times(gaps, 320.0) == [250, 310]
    gaps.note(LAMP, "b", (), 320.0)
    assert times(gaps, 370.0) == []
    assert LAMP not in gaps


def test_another_gap_gets_its_own_time_to_be_filled(gaps: Gaps) -> None:
    """If the one that was waited for is filled; splitting it is not enough."""
    gaps.note(LAMP, "b", ((3, 6),), 0.0)
    gaps.note(LAMP, "b", ((3, 3), (5, 6)), 5.0)
    gaps.note(LAMP, "b", ((5, 6), (9, 9)), 6.0)
    gaps.note(LAMP, "b", ((9, 9),), 9.0)
    assert times(gaps, 30.0) == [19]


def test_a_restarted_device_is_asked_anew(gaps: Gaps) -> None:
    """Another boot has gaps of its own, and perhaps a program that answers."""
    gaps.note(LAMP, "old", ((3, 4),), 0.0)
    assert times(gaps, 200.0) == [10, 70, 190]
    gaps.note(LAMP, "new", ((2, 2),), 230.0)
    assert asked(gaps, 400.0) == [
        (250, Gap(LAMP, "new", ((2, 2),))),
        (310, Gap(LAMP, "new", ((2, 2),))),
    ]


def test_named_twins_have_gaps_of_their_own(gaps: Gaps) -> None:
    """The numbers count for each topic."""
    named = TwinKey("lamp-1", "config")
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    gaps.note(named, "b", ((7, 7),), 1.0)
    gaps.note(LAMP, "b", (), 2.0)
    assert [gap.key for _, gap in asked(gaps, 30.0)] == [named]


def test_after_a_connection_what_waited_at_the_broker_comes_in_first(gaps: Gaps) -> None:
    """Nobody is asked before the timeout has passed again."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    gaps.wait_anew(500.0)
    assert gaps.take_due(505.0) is None
    assert times(gaps, 520.0) == [510]


def test_who_was_asked_for_another_reason_is_not_asked_for_the_gap_at_once(gaps: Gaps) -> None:
    """One full report answers both."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    gaps.note_asked(LAMP, 9.0)
    gaps.note_asked(TwinKey("unknown"), 9.0)
    assert times(gaps, 100.0) == [69]


def test_a_forgotten_twin_is_not_asked(gaps: Gaps) -> None:
    """It was deleted, or its numbers were."""
    gaps.note(LAMP, "b", ((3, 4),), 0.0)
    gaps.forget(LAMP)
    gaps.forget(LAMP)
    assert times(gaps, 1000.0) == []


def test_the_table_is_bounded_and_the_longest_silent_goes(
    gaps: Gaps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen again when the device is next heard."""
    monkeypatch.setattr(module, "WATCHED_TWINS", 3)
    keys = [TwinKey(f"d{number}") for number in range(4)]
    for at, key in enumerate(keys[:3]):
        gaps.note(key, "b", ((3, 3),), float(at))
    gaps.note(keys[0], "b", ((3, 3),), 4.0)
    gaps.note(keys[3], "b", ((3, 3),), 5.0)
    assert len(gaps) == 3
    assert [gap.key for _, gap in asked(gaps, 20.0)] == [keys[0], keys[2], keys[3]]
    gaps.note(keys[1], "b", ((3, 3),), 20.0)
    assert keys[1] in gaps


def test_deadlines_that_are_outdated_do_not_pile_up(gaps: Gaps) -> None:
    """A gap that opens and closes all the time takes the memory of one."""
    for number in range(100_000):
        gaps.note(LAMP, "b", ((number, number),), number / 1000)
        gaps.note(LAMP, "b", (), number / 1000)
        gaps.note(TwinKey("other"), "b", ((1, 1),), 0.0)
    assert len(gaps._deadlines) < 200
