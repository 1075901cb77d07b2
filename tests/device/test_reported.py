from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.device import JsonObject, reported
from bridge.device.payload import encode
from bridge.device.reported import Reported
from tests.device.shown import Said, shown
from tests.device.strategies import patches


def _payload(patch: JsonObject, *, full: bool = False) -> bytes:
    return encode({**patch, "$": {"full": full} if full else {}}, "json")


def _answered(*said: JsonObject) -> Reported:
    """Return reports 1, 2, …, of which the first is full."""
    state = Reported(10_000)
    for seq, patch in enumerate(said, 1):
        state.answered(seq, _payload(patch, full=seq == 1))
    return state


def test_without_a_full_report_it_is_a_patch_with_its_removals() -> None:
    """What an earlier process has left in the twin stays, and what this one removed is removed."""
    state = Reported(10_000)
    assert state.with_unanswered({}, []) is None
    state.answered(1, _payload({"a": {"b": 1, "c": 2}, "d": 3}))
    state.answered(2, _payload({"a": {"b": None}, "d": None}))
    assert state.with_unanswered({}, []) == ({"a": {"b": None, "c": 2}, "d": None}, False)


def test_from_a_full_report_on_it_is_everything() -> None:
    """Removals leave nothing, and neither does what was reported before."""
    state = Reported(10_000)
    state.answered(1, _payload({"old": 1}))
    state.answered(2, _payload({"a": {"b": 1}, "d": 3}, full=True))
    state.answered(3, _payload({"a": {"b": None}, "e": 4}))
    assert state.with_unanswered({}, []) == ({"d": 3, "e": 4}, True)


def test_an_empty_full_report_is_everything_too() -> None:
    """A device that has nothing to say says so."""
    assert _answered({}).with_unanswered({}, []) == ({}, True)


def test_the_order_is_that_of_the_numbers_and_not_of_the_answers() -> None:
    """An answer that was lost comes late; the later report still counts."""
    state = _answered({})
    state.answered(4, _payload({"a": 4}))
    state.answered(3, _payload({"a": 3, "c": 3}))
    assert state.with_unanswered({2: _payload({"a": 2, "b": 2})}, []) == (
        {"a": 4, "b": 2, "c": 3},
        True,
    )
    state.answered(2, _payload({"a": 2, "b": 2}))
    assert state.with_unanswered({}, []) == ({"a": 4, "b": 2, "c": 3}, True)


def test_what_is_unanswered_is_in_it_and_stays_out_of_what_is_kept() -> None:
    """It may still be refused; asked again, it is not there."""
    state = _answered({"a": 1, "o": {"x": 1}})
    everything = state.with_unanswered(
        {2: _payload({"b": 2, "o": {"y": 1}})}, [({"c": 3, "o": {"x": None}}, False)]
    )
    assert everything == ({"a": 1, "b": 2, "c": 3, "o": {"y": 1}}, True)
    state.answered(2, None)
    assert state.with_unanswered({}, []) == ({"a": 1, "o": {"x": 1}}, True)


def test_a_full_report_that_is_unanswered_makes_it_full() -> None:
    """In flight or waiting: it arrives before the repetition does."""
    state = Reported(10_000)
    state.answered(1, _payload({"a": 1}))
    assert state.with_unanswered({2: _payload({"b": 1}, full=True)}, []) == ({"b": 1}, True)
    assert state.with_unanswered({}, [({"b": 1}, True), ({"c": 1}, False)]) == (
        {"b": 1, "c": 1},
        True,
    )


def test_what_no_report_could_hold_is_forgotten() -> None:
    """Memory is bounded; what is said afterwards is kept again, but is not everything."""
    state = Reported(10_000)
    state.answered(1, _payload({}, full=True))
    for seq in range(2, 100):
        state.answered(seq, _payload({f"k{seq}": "x" * 500}))
        said = state.with_unanswered({}, [])
        assert said is None or len(encode(said[0], "json")) < 21_000
    assert said is not None
    assert not said[1]


def test_one_field_reported_for_ever_takes_no_more_room() -> None:
    """Sizes are bounds between measurements; they must not add up."""
    state = _answered({"first": True})
    for seq in range(2, 200):
        state.answered(seq, _payload({"a": "x" * 500}))
    assert state.with_unanswered({}, []) == ({"first": True, "a": "x" * 500}, True)


def test_what_waits_for_an_earlier_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that never comes does not cost memory for ever; it may even come in the end."""
    monkeypatch.setattr(reported, "EARLY_BYTES", 1000)
    state = _answered({"a": 1})
    for seq in range(3, 20):
        state.answered(seq, _payload({"b": "x" * 100}))
    state.answered(2, _payload({"b": 2}))
    for seq in range(20, 30):
        state.answered(seq, _payload({"c": seq}))
    assert state.with_unanswered({}, []) == ({"b": "x" * 100, "c": 29}, False)


@given(st.lists(st.tuples(patches(), st.booleans()), min_size=1, max_size=8), st.randoms())
def test_repeated_it_makes_what_was_reported(said: list[Said], random: object) -> None:
    """By the bridge's own rules for trees, whatever order the answers take."""
    said[0] = (said[0][0], True)
    state = Reported(10_000)
    numbered = list(enumerate(said, 1))
    random.shuffle(numbered)  # type: ignore[attr-defined]
    for seq, (patch, full) in numbered:
        state.answered(seq, _payload(patch, full=full))
    everything = state.with_unanswered({}, [])
    assert everything is not None
    assert everything[1]
    assert shown([everything]) == shown(said)
