"""What a policy refuses, and what it keeps, before anything is merged."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.limits import (
    BOOTS_PER_WRITER,
    CONTRIBUTIONS_PER_CELL,
    INTEGER_MAX,
    INTEGER_MIN,
    Limits,
)
from bridge.core.reconcile import Outcome, delete
from bridge.core.screen import SHOWN_CHARACTERS
from tests.core.world import SECOND, World

HOUR = 3600 * SECOND


def error(outcome: Outcome) -> tuple[int, str] | None:
    """Code and name of a refusal."""
    refusal = outcome.refusal
    return None if refusal is None else (refusal.code, refusal.error)


@pytest.mark.parametrize(
    ("policy", "value", "what"),
    [
        ("max", "hot", '"hot"'), ("min", True, "true"), ("sum", [1], "[1]"), ("union", 5, "5"),
        ("union", "a", '"a"'),
    ],
)  # fmt: skip
def test_a_value_that_the_policy_cannot_take_is_refused_whole(
    policy: str, value: Any, what: str
) -> None:
    """The message names the path, the policy and the value, and nothing else changes."""
    world = World(policies={"desired.a.*": policy})
    outcome = world.desire({"x": 1, "a": {"b": value}}, "anna")
    assert error(outcome) == (422, "policy_type")
    assert outcome.refusal is not None
    takes = "arrays" if policy == "union" else "numbers"
    assert outcome.refusal.message == f"desired.a.b: its policy {policy} takes {takes}, not {what}"
    assert world.desired == {}


def test_a_type_is_refused_wherever_the_update_stands() -> None:
    """Also where something newer above would have covered it."""
    world = World(policies={"desired.a.b": "sum"})
    world.desire({"a": 1}, "anna")
    late = world.desire({"a": {"b": "x"}}, "bert", time=world.clock - HOUR)
    assert error(late) == (422, "policy_type")
    assert error(world.desire({"a": {"b": 1}}, "bert", time=world.clock - HOUR)) is None


def test_null_and_objects_are_taken_by_every_policy() -> None:
    """A removal has no type, and an object is descended into."""
    for policy in ("sum", "union", "max", "device", "first", "refuse"):
        world = World(policies={"desired.a": policy})
        assert error(world.desire({"a": None}, "anna")) is None
        assert error(world.desire({"a": {"b": "x"}}, "anna")) is None


def test_an_aggregate_has_a_limit_of_contributions() -> None:
    """Who has contributed may go on; who has not is refused, until it begins anew."""
    world = World(policies={"desired.seen": "max"})
    for number in range(CONTRIBUTIONS_PER_CELL):
        assert error(world.desire({"seen": number}, f"w{number}")) is None
    refused = world.desire({"seen": 9999}, "one-more")
    assert error(refused) == (413, "too_many_contributions")
    assert refused.refusal is not None
    assert refused.refusal.message == (
        "desired.seen: its policy max would keep 257 contributions, the limit is 256: "
        "set it to null to begin anew"
    )
    assert error(world.desire({"seen": 9999}, "w5")) is None
    world.desire({"seen": None}, "anna")
    assert error(world.desire({"seen": 1}, "one-more")) is None


def test_full_counts_only_what_it_leaves() -> None:
    """It resets what it names."""
    world = World(policies={"desired.tags": "union"})
    world.desire({"tags": list(range(CONTRIBUTIONS_PER_CELL))}, "anna")
    assert error(world.desire({"tags": [-1]}, "bert")) == (413, "too_many_contributions")
    assert error(world.desire({"tags": [-1]}, "bert", full=True)) is None
    assert world.desired == {"tags": [-1]}
    too_many = list(range(CONTRIBUTIONS_PER_CELL + 1))
    assert error(world.desire({"tags": too_many}, "bert", full=True)) == (
        413,
        "too_many_contributions",
    )


def test_a_sum_that_does_not_fit_is_refused() -> None:
    """Integers within 64 bits, and finite floats."""
    world = World(policies={"desired.*": "sum"})
    world.desire({"n": INTEGER_MAX, "f": 1e308}, "anna")
    refused = world.desire({"n": 1}, "bert")
    assert error(refused) == (422, "policy_range")
    assert refused.refusal is not None
    assert refused.refusal.message == (
        "desired.n: the sum would not fit into 64 bits signed: set it to null to begin anew"
    )
    assert error(world.desire({"f": 1e308}, "bert")) == (422, "policy_range")
    assert error(world.desire({"n": -1}, "bert")) is None
    assert world.desired["n"] == INTEGER_MAX - 1
    world.desire({"n": None}, "anna")
    world.desire({"n": -INTEGER_MAX}, "bert")
    world.desire({"n": INTEGER_MAX}, "anna")
    assert error(world.desire({"n": 5}, "bert")) == (422, "policy_range")
    world.desire({"n": None}, "anna")
    assert error(world.desire({"n": INTEGER_MIN}, "anna")) is None
    assert error(world.desire({"n": -1}, "bert")) == (422, "policy_range")


def test_what_is_there_before_a_policy_comes_counts() -> None:
    """A plain value is a contribution already."""
    world = World(policies={"desired.n": "sum"})
    rules, world.twin.desired.rules = world.twin.desired.rules, None
    world.desire({"n": INTEGER_MAX}, "anna")
    world.twin.desired.rules = rules
    assert error(world.desire({"n": 1}, "bert")) == (422, "policy_range")
    assert error(world.desire({"n": INTEGER_MAX}, "anna")) is None


def test_an_array_that_is_too_long_is_refused_wherever_the_update_stands() -> None:
    """Also where something newer above covers it, and one that is not too long is superseded."""
    world = World(policies={"desired.a.tags": "union"})
    world.desire({"a": 5}, "anna")
    tags = list(range(CONTRIBUTIONS_PER_CELL + 1))
    late = world.clock - HOUR
    refused = world.desire({"a": {"tags": tags}}, "bert", time=late)
    assert error(refused) == (413, "too_many_contributions")
    assert world.desire({"a": {"tags": tags[1:]}}, "bert", time=late).superseded


@pytest.mark.parametrize(("length", "shown"), [(198, f'"{"y" * 198}"'), (199, f'"{"y" * 199}…')])
def test_a_value_is_quoted_up_to_200_characters(length: int, shown: str) -> None:
    """The quotes of a text count."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "y" * length}, "anna")
    refusal = world.desire({"mode": "x"}, "bert", seen=0).refusal
    assert refusal is not None
    assert refusal.message.startswith(f"desired.mode is {shown} since version 1, by anna,")


def test_refuse_answers_with_what_is_there() -> None:
    """The writer had not seen it; one that had, or that comes later and says nothing, may."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    refused = world.desire({"mode": "party", "x": 1}, "bert", seen=0)
    assert error(refused) == (409, "conflict")
    assert refused.refusal is not None
    assert refused.refusal.message == (
        'desired.mode is "eco" since version 1, by anna, which this update had not seen: '
        "get the twin, and decide again"
    )
    assert world.desired == {"mode": "eco"}
    assert error(world.desire({"other": 1}, "bert", seen=0)) is None
    assert error(world.desire({"mode": "eco"}, "bert", seen=0)) is None
    assert error(world.desire({"mode": "party"}, "bert", seen=1)) is None
    assert error(world.desire({"mode": "night"}, "carl")) is None
    assert error(world.desire({"mode": "day"}, "dora", time=world.clock - HOUR)) == (
        409,
        "conflict",
    )
    assert error(world.desire({"mode": "day"}, "carl", seen=0)) is None


def test_refuse_names_who_made_the_change() -> None:
    """Not who has since written the same again."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    world.desire({"mode": "eco"}, "bert")
    refused = world.desire({"mode": "party"}, "carl", seen=0)
    assert refused.refusal is not None
    assert "since version 1, by anna, which" in refused.refusal.message


def test_a_writer_s_own_later_write_is_not_concurrent() -> None:
    """Its late message is superseded, not refused."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    late = world.desire({"mode": "party"}, "anna", time=world.clock - HOUR)
    assert (error(late), late.superseded) == (None, True)


def test_refuse_sees_what_is_above_and_below() -> None:
    """A concurrent removal above the path, and a concurrent field below it."""
    world = World(policies={"desired.a.mode": "refuse"})
    world.desire({"a": {"mode": "eco"}}, "anna")
    world.desire({"a": None}, "anna")
    refused = world.desire({"a": {"mode": "party"}}, "bert", seen=1)
    assert error(refused) == (409, "conflict")
    assert refused.refusal is not None
    assert refused.refusal.message.startswith("desired.a.mode was removed since version 2, by anna")
    assert error(world.desire({"a": {"mode": "x"}}, "bert", time=world.clock - HOUR)) == (
        409, "conflict",
    )  # fmt: skip
    world.desire({"a": {"mode": {"deep": 1}}}, "anna")
    assert error(world.desire({"a": {"mode": 5}}, "bert", seen=2)) == (409, "conflict")
    assert error(world.desire({"a": {"mode": 5}}, "bert", seen=3)) is None
    world.desire({"a": {"mode": {}}}, "anna")
    assert error(world.desire({"a": {"mode": 6}}, "bert", seen=4)) == (409, "conflict")


def test_refuse_sees_a_deletion() -> None:
    """Of the whole twin."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    delete(world.twin, "anna", world.clock + SECOND)
    world.clock += SECOND
    assert error(world.desire({"mode": "party"}, "bert", seen=1)) == (409, "conflict")
    assert error(world.desire({"other": "party"}, "bert", seen=1)) is None


@pytest.mark.parametrize(
    ("nearest", "seen", "refused"),
    [
        pytest.param([{"x": 1}, {"a": 5}], 1, True, id="a value that is newer than what is above"),
        pytest.param([{"x": 1}, {"a": 5}], 2, False, id="one that was seen"),
        pytest.param([{"a": 5}, {"a": {"b": 1}}], 1, False, id="a value that is hidden itself"),
    ],
)
def test_refuse_looks_at_the_nearest_above(
    nearest: list[dict[str, Any]], seen: int, refused: bool
) -> None:
    """Of a removal of everything and what was set below it."""
    world = World(policies={"desired.a.mode": "refuse"})
    world.desire(nearest[0], "anna", full=True)
    world.desire(nearest[1], "bert")
    outcome = world.desire({"a": {"mode": 1}}, "carl", seen=seen)
    assert (error(outcome) == (409, "conflict")) is refused


def test_refuse_looks_past_a_value_that_something_above_it_hides() -> None:
    """What hides it counts."""
    world = World(policies={"desired.o.a.mode": "refuse"})
    world.desire({"o": {"a": 5}}, "anna")
    world.desire({"o": None}, "bert")
    assert error(world.desire({"o": {"a": {"mode": 1}}}, "carl", seen=1)) == (409, "conflict")
    assert error(world.desire({"o": {"a": {"mode": 1}}}, "carl", seen=2)) is None


def test_of_full_and_what_it_names_the_named_is_nearer() -> None:
    """It was hidden since, and nobody is in conflict with it."""
    world = World(policies={"desired.a.mode": "refuse"})
    world.desire({"x": 1}, "bert")
    world.desire({"a": 1}, "anna", full=True)
    world.desire({"a": {}}, "bert")
    assert error(world.desire({"a": {"mode": 1}}, "bert", seen=1)) is None


@pytest.mark.parametrize(
    "patch", [{"a": {"mode": 1}}, {"a": {"x": 1}, "mode": 1}, {"a": {"x": {}}, "b": {"mode": 1}}]
)
def test_refuse_is_found_wherever_it_stands_in_a_patch(patch: dict[str, Any]) -> None:
    """Below objects and behind them; the deletion is above all of it."""
    world = World(policies={"desired.mode": "refuse", "desired.*.mode": "refuse"})
    world.desire({"x": 1}, "anna")
    delete(world.twin, "anna", world.clock + SECOND)
    world.clock += SECOND
    assert error(world.desire(patch, "bert", seen=1)) == (409, "conflict")


def test_refuse_protects_what_a_write_above_would_take() -> None:
    """A removal, a value, and `full`, unless they had seen it or are older."""
    world = World(policies={"desired.a.mode": "refuse"})
    world.desire({"a": {"mode": "eco", "x": 1}}, "anna")
    for patch in ({"a": None}, {"a": 5}):
        assert error(world.desire(patch, "bert", seen=0)) == (409, "conflict")
        assert error(world.desire(patch, "bert", time=world.clock - HOUR)) is None
    for patch in ({}, {"a": {}}, {"a": {"x": 1}}, {"a": 5}, {"a": None}):
        assert error(world.desire(patch, "bert", seen=0, full=True)) == (409, "conflict")
    assert error(world.desire({"a": {"mode": "eco"}}, "bert", seen=0, full=True)) is None
    assert error(world.desire({"a": {"mode": "party"}}, "carl", seen=0, full=True)) == (
        409, "conflict",
    )  # fmt: skip
    assert error(world.desire({"a": None}, "bert", seen=world.twin.version)) is None


def test_refuse_says_what_a_write_above_would_take() -> None:
    """The path, and what stands there, among other members and whatever is hidden below it."""
    world = World(policies={"desired.*.mode": "refuse"})
    world.desire({"x": 1, "a": {"y": 2, "mode": {"deep": 1}}}, "anna")
    world.desire({"a": {"mode": "grün"}}, "anna")
    for patch, full in (({"a": None}, False), ({}, True), ({"x": None}, True)):
        refused = world.desire(patch, "bert", seen=1, full=full).refusal
        assert refused is not None
        assert refused.message == (
            'desired.a.mode is "grün" since version 2, by anna, which this update had not seen: '
            "get the twin, and decide again"
        )


def test_full_that_is_older_than_a_removal_of_everything_takes_nothing() -> None:
    """And so nothing of it is refused."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"x": 1}, "anna", full=True)
    world.desire({"mode": "eco"}, "anna")
    assert error(world.desire({}, "bert", full=True, time=world.clock - HOUR)) is None
    assert world.desired == {"x": 1, "mode": "eco"}


def test_a_value_hidden_earlier_is_not_what_is_there() -> None:
    """It has no writer any more who could be asked."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    world.desire({"mode": {"deep": 1}}, "bert")
    world.desire({"mode": {"deep": None}}, "carl", seen=2)
    assert error(world.desire({"mode": "x"}, "carl", seen=2)) is None


def test_first_keeps_a_removal_that_the_writer_had_not_seen() -> None:
    """What is there is nothing."""
    world = World(policies={"desired.owner": "first"})
    world.desire({"owner": "anna"}, "anna")
    world.desire({"owner": None}, "anna")
    outcome = world.desire({"owner": "bert"}, "bert", seen=1)
    assert (error(outcome), outcome.superseded, world.desired) == (None, True, {})
    assert [(c.kept, c.kept_by, c.lost) for c in outcome.conflicts] == [(None, "anna", "bert")]


def test_a_refusal_quotes_no_more_than_its_limit() -> None:
    """However long the value is, and however deep the path."""
    world = World(policies={"desired.**": "refuse"})
    first, second = "x" * 1000, "y"
    deep: list[Any] = [first, second]
    for _ in range(10):
        deep = [{"k" * 100: value} for value in deep]
    world.desire(deep[0], "anna")
    refused = world.desire(deep[1], "bert", seen=0)
    assert refused.refusal is not None
    assert len(refused.refusal.message) < 2 * SHOWN_CHARACTERS + 200
    assert refused.refusal.message.count("…") == 2


def test_a_refusal_by_policy_is_remembered_for_a_repeat() -> None:
    """The same bytes are refused alike, although the value has been removed meanwhile."""
    world = World(policies={"desired.mode": "refuse"})
    world.desire({"mode": "eco"}, "anna")
    refused = world.desire({"mode": "party"}, "bert", seen=0, seq=1)
    world.desire({"mode": None}, "anna")
    again = world.desire({"mode": "party"}, "bert", seen=0, seq=1)
    assert (again.duplicate, again.refusal) == (True, refused.refusal)


def test_what_nobody_sees_is_bounded_too() -> None:
    """The application's values are hidden by the device's, and would fill the store."""
    world = World(Limits(twin_bytes=4096), policies={"desired.**": "device"})
    world.desire({f"k{number}": number for number in range(20)}, "lamp-1")
    hidden = "x" * 1000
    answers = [error(world.desire({f"k{number}": hidden}, "anna")) for number in range(6)]
    assert answers == [None, None, (413, "too_much_kept"), *[(413, "too_much_kept")] * 3]
    last = world.desire({"k5": hidden}, "anna").refusal
    assert last is not None
    assert "the limit is 4096: set fields to null" in last.message
    assert error(world.desire({"k0": "short"}, "anna")) is None
    assert error(world.desire({"k5": hidden}, "anna")) is None
    assert error(world.desire({"k6": hidden}, "anna", full=True)) is None


def test_a_base_that_does_not_fit_is_refused_although_the_sum_would() -> None:
    """It could not be stored; folded away, it is no boot's any more."""
    world = World(policies={"desired.n": "sum"})
    for boot in range(1, BOOTS_PER_WRITER + 2):
        world.desire({"n": INTEGER_MAX}, "plus", boot=boot, seq=1)
        outcome = world.desire({"n": -INTEGER_MAX}, "minus", boot=boot, seq=1)
    assert error(outcome) is None
    answers = {
        error(world.desire({"n": number}, writer, boot=99, seq=1))
        for number, writer in ((INTEGER_MAX, "plus"), (-INTEGER_MAX, "minus"))
    }
    assert (422, "policy_range") in answers
