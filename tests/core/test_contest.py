"""Conflicts: which writes were concurrent, and that the loser is told of."""

from __future__ import annotations

from typing import Any

from bridge.core.conflict import Conflict, differs
from bridge.core.limits import CONFLICTS_PER_UPDATE
from bridge.core.policy import POLICIES
from bridge.core.reconcile import Outcome, delete
from tests.core.world import NOW, SECOND, World

HOUR = 3600 * SECOND
T1, T2, T3 = (NOW + number * SECOND for number in (1, 2, 3))


def losers(outcome: Outcome) -> list[tuple[tuple[str, ...], Any, str, Any, str]]:
    """Path, and value and writer of both sides."""
    assert all(conflict.policy in POLICIES for conflict in outcome.conflicts)
    return [(c.path, c.kept, c.kept_by, c.lost, c.lost_by) for c in outcome.conflicts]


def test_who_had_seen_it_is_in_no_conflict() -> None:
    """Nor who comes later and says nothing of what it had seen."""
    world = World()
    world.desire({"mode": "eco"}, "anna")
    assert world.desire({"mode": "party"}, "bert", seen=1).conflicts == ()
    assert world.desire({"mode": "night"}, "carl").conflicts == ()
    assert world.desire({"mode": "day"}, "carl", seen=0).conflicts == ()


def test_who_replaces_what_it_had_not_seen_wins_and_the_other_is_kept() -> None:
    """With both values, both writers and both stamps."""
    world = World()
    world.desire({"mode": "eco", "level": 1}, "anna")
    outcome = world.desire({"mode": "party", "level": 1}, "bert", seen=0)
    assert outcome.conflicts == (
        Conflict(("mode",), "latest", "party", "bert", T2, "eco", "anna", T1),
    )


def test_who_comes_late_loses_and_is_kept() -> None:
    """An edit made offline, an hour ago."""
    world = World()
    world.desire({"mode": "eco", "level": 1}, "anna")
    late = world.desire({"mode": "party", "level": 1}, "bert", time=world.clock - HOUR)
    assert (late.superseded, late.changed) == (True, False)
    assert late.conflicts == (
        Conflict(("mode",), "latest", "eco", "anna", T1, "party", "bert", T2 - SECOND - HOUR),
    )


def test_a_writer_is_not_in_conflict_with_itself() -> None:
    """Neither late nor with an old `seen`."""
    world = World()
    world.desire({"mode": "eco"}, "anna", seq=1)
    world.desire({"mode": "party"}, "anna", seq=3, seen=0)
    assert world.desire({"mode": "night"}, "anna", seq=2).conflicts == ()
    assert world.desire({"mode": None}, "anna", seq=5, seen=0).conflicts == ()
    assert world.desire({"mode": {"name": "day"}}, "anna", seq=4).conflicts == ()


def test_a_concurrent_removal_is_a_loser_too() -> None:
    """Of a field, of what is above it, and of the whole twin."""
    world = World()
    world.desire({"a": {"b": 1}, "c": 1}, "anna")
    world.desire({"c": None}, "anna")
    assert losers(world.desire({"c": 2}, "bert", seen=1)) == [(("c",), 2, "bert", None, "anna")]
    world.desire({"a": None}, "anna")
    assert losers(world.desire({"a": {"b": 2}}, "bert", seen=1)) == [
        (("a",), {"b": 2}, "bert", None, "anna")
    ]
    assert losers(world.desire({"a": {"b": 3}}, "carl", seen=5)) == []
    delete(world.twin, "anna", world.clock + SECOND)
    world.clock += SECOND
    assert losers(world.desire({"d": 2}, "bert", seen=5)) == [((), {"d": 2}, "bert", None, "anna")]
    assert losers(world.desire({"e": 2}, "bert", seen=5)) == []


def test_a_removal_can_win() -> None:
    """Over a value, and over each of an object's."""
    world = World()
    world.desire({"a": {"b": 1, "c": 2}, "d": 3}, "anna")
    assert losers(world.desire({"d": None}, "bert", seen=0)) == [(("d",), None, "bert", 3, "anna")]
    assert losers(world.desire({"a": None}, "bert", seen=0)) == [
        (("a", "b"), None, "bert", 1, "anna"),
        (("a", "c"), None, "bert", 2, "anna"),
    ]


def test_a_value_that_was_hidden_is_not_a_removal() -> None:
    """It was lost when it was hidden, not again when the object is written to."""
    world = World()
    world.desire({"a": 5}, "anna")
    assert losers(world.desire({"a": {"b": 1}}, "bert", seen=0)) == [
        (("a",), {"b": 1}, "bert", 5, "anna")
    ]
    world.desire({"a": {"b": None}}, "bert")
    assert losers(world.desire({"a": {"c": 1}}, "carl", seen=0)) == []


def test_what_is_shadowed_as_a_whole_is_one_loser() -> None:
    """By a newer value or removal above, or a deletion of the twin."""
    world = World()
    world.desire({"a": 5}, "anna")
    late = world.clock - HOUR
    assert losers(world.desire({"a": {"b": {"c": 1}}}, "bert", time=late)) == [
        (("a",), 5, "anna", {"b": {"c": 1}}, "bert")
    ]
    world.desire({"a": None}, "anna")
    assert losers(world.desire({"a": {"b": 1}}, "bert", time=late)) == [
        (("a",), None, "anna", {"b": 1}, "bert")
    ]
    delete(world.twin, "anna", world.clock + SECOND)
    assert losers(world.desire({"a": 7}, "bert", time=late)) == [
        ((), None, "anna", {"a": 7}, "bert")
    ]
    assert losers(world.desire({}, "bert", time=late)) == []


def test_newer_fields_keep_their_object_from_a_late_value() -> None:
    """The value is the loser; a removal of what stays is one too."""
    world = World()
    world.desire({"a": {"b": 1}}, "anna")
    late = world.clock - HOUR
    for value in (5, None):
        assert losers(world.desire({"a": value}, "bert", time=late)) == [
            (("a",), {"b": 1}, "anna", value, "bert")
        ]
    world.desire({"a": {"b": None}}, "anna")
    assert losers(world.desire({"a": 6}, "bert", time=late)) == [(("a",), None, "anna", 6, "bert")]
    assert losers(world.desire({"a": None}, "bert", time=late)) == []
    world.desire({"a": {}}, "anna")
    assert losers(world.desire({"a": 7}, "bert", time=late)) == [(("a",), {}, "anna", 7, "bert")]
    world.desire({"a": {"b": 3}}, "anna")
    world.desire({"a": {}}, "carl")
    assert losers(world.desire({"a": 8}, "bert", time=late)) == [
        (("a",), {"b": 3}, "carl", 8, "bert")
    ]
    world.desire({"a": {"b": 3}}, "dora")
    assert losers(world.desire({"a": 8}, "bert", time=late)) == [
        (("a",), {"b": 3}, "dora", 8, "bert")
    ]


def test_a_newer_empty_object_keeps_a_late_value_away() -> None:
    """Also where nothing was ever below it."""
    world = World()
    world.desire({"a": {}}, "anna")
    assert losers(world.desire({"a": 7}, "bert", time=NOW)) == [(("a",), {}, "anna", 7, "bert")]


def test_a_late_value_is_told_what_stands() -> None:
    """Also where the value has taken an object's place."""
    world = World()
    world.desire({"a": {"b": 1}}, "anna")
    world.desire({"a": 5}, "anna")
    assert losers(world.desire({"a": 6}, "bert", time=NOW)) == [(("a",), 5, "anna", 6, "bert")]


def test_a_removal_below_a_value_takes_its_place() -> None:
    """The value is the loser, and nothing is there."""
    world = World()
    world.desire({"a": 5}, "anna")
    outcome = world.desire({"a": {"b": None}}, "bert", seen=0)
    assert outcome.change is not None
    assert (outcome.change.forward, outcome.change.backward) == ({"a": None}, {"a": 5})
    assert losers(outcome) == [(("a",), None, "bert", 5, "anna")]


def test_who_adds_to_an_object_that_came_back_meets_no_removal() -> None:
    """Nor who removes where nothing is."""
    world = World()
    world.desire({"a": 5, "c": 1}, "anna")
    world.desire({"a": None, "c": None}, "anna")
    world.desire({"a": {"b": 1}}, "bert", seen=2)
    assert losers(world.desire({"a": {"c": 1}}, "carl", seen=1)) == []
    assert losers(world.desire({"c": {"d": None}}, "carl", seen=1)) == []


def test_a_conflict_names_the_policy_of_its_path() -> None:
    """Where an object comes in the place of a value, too."""
    world = World(policies={"desired.a": "max"})
    world.desire({"a": 5}, "anna")
    [conflict] = world.desire({"a": {"b": 1}}, "bert", seen=0).conflicts
    assert (conflict.path, conflict.policy, conflict.lost) == (("a",), "max", 5)


def test_an_older_empty_object_loses_only_where_there_is_none() -> None:
    """A marker that is older than the value in its place."""
    world = World()
    world.desire({"a": 5, "b": {"c": 1}}, "anna")
    late = world.clock - HOUR
    assert losers(world.desire({"a": {}}, "bert", time=late)) == [(("a",), 5, "anna", {}, "bert")]
    assert losers(world.desire({"b": {}}, "bert", time=late)) == []
    world.desire({"x": None}, "anna")
    assert losers(world.desire({"x": {}}, "bert", time=late)) == [
        (("x",), None, "anna", {}, "bert")
    ]


def test_full_loses_and_wins_field_by_field() -> None:
    """What it does not name is removed, and what is newer stays."""
    world = World()
    world.desire({"a": 1, "b": 2}, "anna")
    assert losers(world.desire({"a": 3}, "bert", seen=0, full=True)) == [
        (("b",), None, "bert", 2, "anna"),
        (("a",), 3, "bert", 1, "anna"),
    ]


def test_a_reset_of_an_aggregate_that_had_not_seen_it_is_told() -> None:
    """A contribution is nobody's loss."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    assert losers(world.desire({"count": 3}, "bert", seen=0)) == []
    assert losers(world.desire({"count": None}, "carl", seen=0)) == [
        (("count",), None, "carl", 8, "bert")
    ]
    assert losers(world.desire({"count": None}, "carl", seen=0)) == []


def test_a_conflict_keeps_values_of_its_own() -> None:
    """What happens to the twin afterwards does not change what is kept."""
    world = World()
    world.desire({"a": {"b": 1}}, "anna")
    [conflict] = world.desire({"a": 5}, "bert", time=world.clock - HOUR).conflicts
    world.desire({"a": {"b": 2, "c": 3}}, "anna")
    assert conflict.kept == {"b": 1}


def test_one_update_is_told_of_no_more_losers_than_are_kept() -> None:
    """However many fields two applications write over each other."""
    world = World()
    fields = {f"k{number}": number for number in range(CONFLICTS_PER_UPDATE + 5)}
    world.desire(fields, "anna")
    lost = world.desire(dict.fromkeys(fields, "x"), "bert", time=world.clock - HOUR)
    assert len(lost.conflicts) == CONFLICTS_PER_UPDATE
    won = world.desire(dict.fromkeys(fields, "y"), "bert", seen=0)
    assert len(won.conflicts) == CONFLICTS_PER_UPDATE


def test_the_same_value_is_no_conflict() -> None:
    """As JSON has it: 1 is not 1.0, and an empty object is wherever one is."""
    assert not differs(1, 1)
    assert differs(1, 1.0)
    assert differs(None, 0)
    assert not differs(None, None)
    assert differs({"a": 1}, {"a": 2})
    assert not differs({"a": 1}, {})
    assert differs([], {})
    assert differs(None, {})
