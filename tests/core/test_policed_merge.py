"""Updates of paths that have a policy of their own."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.section import CHANGED_BY
from bridge.core.since import changes_since
from tests.core.world import SECOND, World, register_at

HOUR = 3600 * SECOND


def test_a_sum_adds_up_its_writers() -> None:
    """Each writes its own running total, in whatever order they arrive."""
    world = World(policies={"desired.count": "sum"})
    assert world.desire({"count": 5}, "anna", seq=1, boot="x").changed
    assert world.desire({"count": 3}, "bert", seq=1).changed
    assert world.desired == {"count": 8}
    assert world.desire({"count": 9}, "anna", seq=3, boot="x").changed
    late = world.desire({"count": 7}, "anna", seq=2, boot="x")
    assert (late.changed, late.superseded, late.conflicts) == (False, True, ())
    assert world.desire({"count": 2}, "anna", seq=1, boot="y").changed
    assert world.desired == {"count": 14}


def test_a_repeated_increment_counts_once() -> None:
    """Without `seq` the same total again is no more than it was."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    again = world.desire({"count": 5}, "anna")
    assert (again.changed, again.superseded) == (False, False)
    assert world.desired == {"count": 5}


def test_null_begins_an_aggregate_anew() -> None:
    """What was written before the removal is ignored however late it comes."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna", seq=1)
    world.desire({"count": 7}, "anna", seq=3)
    assert world.desire({"count": None}, "bert").changed
    assert world.desired == {}
    late = world.desire({"count": 6}, "anna", seq=2)
    assert (late.changed, late.superseded) == (False, True)
    assert world.desired == {}
    world.desire({"count": 8}, "anna", seq=4)
    assert world.desired == {"count": 8}


def test_a_late_null_takes_only_what_is_older() -> None:
    """A removal that was stamped between two writers' contributions."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.desire({"count": 3}, "bert")
    between = world.clock - SECOND // 2
    removal = world.desire({"count": None}, "carl", time=between)
    assert removal.changed
    assert removal.change is not None
    assert removal.change.forward == {"count": 3}
    assert removal.change.backward == {"count": 8}
    assert register_at(world, "count")[CHANGED_BY] == "carl"
    assert removal.conflicts == ()
    assert world.desired == {"count": 3}
    assert not world.desire({"count": None}, "carl", time=between).changed


@pytest.mark.parametrize("above", [{"a": None}, {"a": 7}])
def test_what_is_set_above_resets_an_aggregate(above: dict[str, Any]) -> None:
    """And so does `full`; a later contribution begins anew."""
    for full in (False, True):
        world = World(policies={"desired.a.count": "sum"})
        world.desire({"a": {"count": 5}}, "anna")
        if full:
            world.desire({"other": 1}, "bert", full=True)
        else:
            world.desire(above, "bert")
        world.desire({"a": {"count": 2}}, "carl")
        assert world.desired["a"] == {"count": 2}


def test_an_older_removal_above_takes_only_the_older_contributions() -> None:
    """What the removal had not met stays, and the sum shrinks."""
    world = World(policies={"desired.a.*": "sum"})
    world.desire({"a": {"count": 5}}, "anna")
    world.desire({"a": {"count": 3}}, "bert")
    removal = world.desire({"a": None}, "carl", time=world.clock - SECOND // 2)
    assert world.desired == {"a": {"count": 3}}
    assert removal.change is not None
    assert removal.change.forward == {"count": 3} or removal.change.forward == {"a": {"count": 3}}
    assert register_at(world, "a", "count")[CHANGED_BY] == "carl"
    assert [(c.path, c.policy, c.kept, c.lost) for c in removal.conflicts] == [
        (("a",), "latest", {"count": 3}, None)
    ]


def test_full_resets_the_aggregates_that_it_names_and_hides_the_others() -> None:
    """A named one that comes to the same value keeps the version of its last change."""
    world = World(policies={"desired.**": "sum"})
    world.desire({"named": 4, "same": 3, "unnamed": 9}, "anna")
    world.desire({"named": 2}, "bert")
    outcome = world.desire({"named": 1, "same": 3}, "carl", full=True)
    assert world.desired == {"named": 1, "same": 3}
    assert outcome.change is not None
    assert outcome.change.forward == {"named": 1, "unnamed": None}
    assert outcome.change.backward == {"named": 6, "unnamed": 9}
    assert register_at(world, "same")[4] == 1
    assert register_at(world, "named")[4] == 3
    assert world.desire({"unnamed": 1}, "anna").changed
    assert world.desired == {"named": 1, "same": 3, "unnamed": 1}


def test_a_late_full_leaves_the_newer_contributions() -> None:
    """Of named and unnamed aggregates alike."""
    world = World(policies={"desired.**": "sum"})
    world.desire({"a": 1, "b": {"c": 1}, "d": 1}, "anna")
    world.desire({"a": 10, "b": {"c": 10}, "d": 10}, "bert")
    world.desire({"x": 1, "d": 2}, "carl", full=True, time=world.clock - SECOND // 2)
    assert world.desired == {"a": 10, "b": {"c": 10}, "d": 12, "x": 1}


def test_a_sum_that_full_removes_is_told_by_its_policy() -> None:
    """To who had contributed to it meanwhile."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    removal = world.desire({}, "bert", full=True, seen=0)
    assert [(c.path, c.policy, c.kept, c.lost, c.lost_by) for c in removal.conflicts] == [
        (("count",), "sum", None, 5, "anna")
    ]


def test_an_object_covers_an_aggregate_until_it_is_written_again() -> None:
    """Then all that was contributed counts, because nothing has reset it."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.desire({"count": {"low": 1}}, "bert")
    assert world.desired == {"count": {"low": 1}}
    late = world.desire({"count": 2}, "carl", time=world.clock - 2 * SECOND)
    assert (late.changed, late.superseded) == (False, False)
    assert world.desired == {"count": {"low": 1}}
    world.desire({"count": 4}, "dora")
    assert world.desired == {"count": 11}
    world.desire({"count": {}}, "bert")
    world.desire({"count": 1}, "emil", time=world.clock - 2 * SECOND)
    assert world.desired == {"count": {}}


def test_a_policy_that_goes_leaves_what_it_showed() -> None:
    """The next write is an ordinary one, and nothing of the cell stays."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.desire({"count": 3}, "bert")
    world.twin.desired.rules = None
    assert world.desired == {"count": 8}
    world.desire({"count": 4}, "anna")
    assert world.desired == {"count": 4}
    assert isinstance(world.twin.desired.nodes["count"], tuple)


def test_a_policy_that_comes_begins_with_what_is_there() -> None:
    """A plain value is its writer's contribution."""
    world = World(policies={"desired.count": "sum"})
    rules, world.twin.desired.rules = world.twin.desired.rules, None
    world.desire({"count": 5}, "anna")
    world.twin.desired.rules = rules
    world.desire({"count": 3}, "bert")
    assert world.desired == {"count": 8}


@pytest.mark.parametrize("name", ["device", "app", "max"])
def test_a_writer_may_be_called_like_a_policy(name: str) -> None:
    """It is one contributor among others."""
    world = World(policies={"desired.peak": "max"})
    world.desire({"peak": 5}, name)
    lower = world.desire({"peak": 3}, "anna")
    assert (world.desired, lower.superseded, lower.conflicts) == ({"peak": 5}, False, ())


def test_a_tombstone_of_a_cell_takes_the_cell_with_it() -> None:
    """After its time nothing of the removal is known any more."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.desire({"count": None}, "anna")
    world.clock += world.limits.tombstone_ttl_us
    world.desire({"other": 1}, "anna")
    assert "count" not in world.twin.desired.nodes
    assert world.twin.horizon == 2


def test_a_forgotten_cell_below_an_object_is_begun_anew() -> None:
    """The object stays, what was contributed before it is gone."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.desire({"count": {"low": 1}}, "anna")
    world.clock += world.limits.tombstone_ttl_us
    world.desire({"other": 1}, "anna")
    world.desire({"count": 2}, "bert")
    assert world.desired["count"] == 2


def test_first_keeps_what_the_writer_had_not_seen() -> None:
    """The later stamp does not matter; knowing does."""
    world = World(policies={"desired.owner": "first"})
    world.desire({"owner": "anna"}, "anna")
    stale = world.desire({"owner": "bert", "other": 1}, "bert", seen=0)
    assert world.desired == {"owner": "anna", "other": 1}
    assert [(c.path, c.policy, c.kept, c.lost) for c in stale.conflicts] == [
        (("owner",), "first", "anna", "bert")
    ]
    world.desire({"owner": "bert"}, "bert", seen=2)
    assert world.desired["owner"] == "bert"
    world.desire({"owner": "carl"}, "carl")
    assert world.desired["owner"] == "carl"


def test_a_preview_copies_the_cells() -> None:
    """What is tried on a limit must not be counted twice."""
    world = World(policies={"desired.count": "sum"})
    world.desire({"count": 5}, "anna")
    world.twin.bytes_at_most = world.limits.twin_bytes
    world.limits = type(world.limits)(twin_bytes=90, payload_bytes=1024)
    refused = world.desire({"count": 3, "text": "x" * 90}, "bert")
    assert refused.refusal is not None
    assert refused.refusal.error == "twin_too_large"
    world.limits = type(world.limits)()
    world.desire({"count": 1}, "bert")
    assert world.desired == {"count": 6}


def test_a_leaf_that_first_keeps_away_leaves_the_value_above_it() -> None:
    """An object of which nothing is to be written is not written either."""
    world = World(policies={"desired.**": "first"})
    world.desire({"a": 1}, "anna")
    outcome = world.desire({"a": {"b": 1, "c": {"d": 2}}}, "bert", seen=0)
    assert (outcome.changed, outcome.superseded, world.desired) == (False, True, {"a": 1})
    assert [conflict.path for conflict in outcome.conflicts] == [("a", "b"), ("a", "c", "d")]


def test_full_spares_what_first_keeps() -> None:
    """It is named, and so it is not removed."""
    world = World(policies={"desired.owner": "first"})
    world.desire({"owner": "anna", "x": 1}, "anna")
    world.desire({"owner": "bert"}, "bert", seen=0, full=True)
    assert world.desired == {"owner": "anna"}


def test_an_empty_union_is_a_value() -> None:
    """A device without tags says so."""
    world = World(policies={"desired.tags": "union"})
    first = world.desire({"tags": []}, "anna")
    assert (first.changed, first.superseded, world.desired) == (True, False, {"tags": []})
    world.desire({"tags": ["a"]}, "bert")
    assert world.desired == {"tags": ["a"]}
    world.desire({"tags": None}, "bert")
    assert world.desired == {}


def test_null_where_an_aggregate_has_nothing_is_the_newest_all_the_same() -> None:
    """As at any other path; an older one is superseded."""
    world = World(policies={"desired.count": "sum"})
    assert not world.desire({"count": None}, "anna").superseded
    assert world.desire({"count": None}, "bert", time=world.clock - HOUR).superseded


def test_an_object_that_full_keeps_was_not_revived() -> None:
    """It was there before and after: nobody's removal is undone by it."""
    world = World()
    world.desire({"b": None}, "lamp-1")
    world.desire({"b": {"a": {}}}, "anna")
    outcome = world.desire({"b": {}}, "bert", full=True, seen=0)
    assert [conflict.path for conflict in outcome.conflicts if conflict.path == ("b",)] == []
    assert world.desired == {"b": {}}


def test_a_null_that_does_not_stand_loses_nothing_of_what_does() -> None:
    """The application's value shows; the device's removal is the only loser."""
    world = World(policies={"desired.**": "app"})
    world.desire({"c": 0}, "zoe")
    world.desire({"c": {}}, "zoe")
    outcome = world.desire({"c": None}, "lamp-1", time=world.clock)
    assert [(c.kept, c.lost, c.lost_by) for c in outcome.conflicts] == [(0, None, "lamp-1")]
    assert world.desired == {"c": {}}


def test_a_policy_that_comes_begins_with_nothing_that_is_hidden() -> None:
    """Neither below a newer value nor below a removal of everything."""
    for hide, full in (({"b": 1}, False), ({"x": 1}, True)):
        world = World(policies={"desired.**": "device"})
        rules, world.twin.desired.rules = world.twin.desired.rules, None
        world.desire({"b": {"b": None}}, "lamp-1")
        world.desire(hide, "lamp-1", full=full)
        world.twin.desired.rules = rules
        world.desire({"b": {"b": 2}}, "anna")
        assert world.desired["b"] == {"b": 2}


def test_a_removal_that_full_itself_has_named_is_its_writer_s() -> None:
    """It is as new as the removal of everything, and not hidden by it."""
    world = World(policies={"desired.**": "app"})
    rules, world.twin.desired.rules = world.twin.desired.rules, None
    world.desire({"c": {}, "b": None}, "anna", full=True)
    world.twin.desired.rules = rules
    assert world.desire({"b": None}, "lamp-1").superseded


def test_full_takes_no_contribution_of_what_first_keeps() -> None:
    """The cell of an earlier policy is left as it is."""
    world = World(policies={"desired.**": "sum"})
    world.desire({"a": {"b": 1}, "c": 2}, "lamp-1")
    first = World(policies={"desired.**": "first"})
    world.twin.desired.rules = first.twin.desired.rules
    world.desire({"a": {"b": 0}}, "anna", full=True, seen=0)
    assert world.desired == {"a": {"b": 1}}


def test_full_leaves_the_object_that_holds_what_first_keeps() -> None:
    """An empty one too: a reader is told of it."""
    world = World(policies={"desired.**": "first"})
    world.desire({"c": {}}, "zoe", full=True)
    world.desire({"c": {"c": 1}}, "lamp-1", full=True, seen=0)
    assert world.desired == {"c": {}}
    changes = changes_since(world.twin, 0)
    assert changes is not None
    assert changes[1] == {"c": {}}


def test_an_object_that_full_emptied_is_nobody_s_write() -> None:
    """An application may set the path: no device has written there."""
    world = World(policies={"desired.**": "device"})
    world.desire({"b": {}}, "zoe")
    world.desire({"b": {"b": None}}, "lamp-1", full=True)
    world.desire({"b": 2}, "anna")
    assert world.desired == {"b": 2}
