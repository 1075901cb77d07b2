"""What a reader has missed, and what is known of every field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.described import describe
from bridge.core.difference import copy_object
from bridge.core.reconcile import delete
from bridge.core.section import same
from bridge.core.since import changes_since
from tests.core.invariants import check_section
from tests.core.test_tree import patches, rfc7396
from tests.core.world import NOW, SECOND, World
from tests.support.examples import examples

HOUR = 3600 * SECOND


def since(world: World, version: int) -> dict[str, Any] | None:
    """What changed in `reported`."""
    changes = changes_since(world.twin, version)
    return None if changes is None else changes[0]


def test_only_what_changed_is_told() -> None:
    """Each field with its present value, however often it changed."""
    world = World()
    world.send({"on": True, "level": 1, "color": {"r": 1, "g": 2}})
    world.send({"level": 2})
    world.send({"level": 3, "color": {"g": 3}})
    assert since(world, 0) == world.reported
    assert since(world, 1) == {"level": 3, "color": {"g": 3}}
    assert since(world, 2) == {"level": 3, "color": {"g": 3}}
    assert since(world, 3) == {}


def test_what_is_gone_is_null_at_its_highest_path() -> None:
    """A whole object that vanished is one null."""
    world = World()
    world.send({"a": {"b": {"c": 1, "d": 2}}, "e": 1, "f": {"g": 1}})
    world.send({"a": {"b": {"c": None}}})
    assert since(world, 1) == {"a": {"b": {"c": None}}}
    world.send({"a": {"b": {"d": None}}, "f": None})
    assert since(world, 1) == {"a": None, "f": None}
    assert since(world, 2) == {"a": None, "f": None}
    assert since(world, 3) == {}


def test_an_object_that_took_a_value_s_place_is_told_as_one() -> None:
    """Also where it is empty; and a value in an object's place is the value."""
    world = World()
    world.send({"a": 5, "b": {"c": 1}, "d": 4})
    world.send({"a": {}, "b": 7})
    assert since(world, 1) == {"a": {}, "b": 7}
    world.send({"d": {"e": {}}})
    assert since(world, 2) == {"d": {"e": {}}}
    assert since(world, 3) == {}
    world.send({"a": {"x": 1}})
    world.send({"a": {"x": None}})
    assert since(world, 3) == {"a": {"x": None}}
    assert since(world, 4) == {"a": {"x": None}}
    assert since(world, 5) == {}


def test_both_sections_are_told() -> None:
    """Each by itself."""
    world = World()
    world.send({"on": True})
    world.desire({"on": False})
    assert changes_since(world.twin, 1) == ({}, {"on": False})
    assert changes_since(world.twin, 0) == ({"on": True}, {"on": False})


def test_a_version_that_cannot_be_told_is_answered_with_the_whole() -> None:
    """One that is not there yet, and one below something that has been forgotten."""
    world = World()
    world.send({"on": True, "level": 1})
    assert changes_since(world.twin, 2) is None
    assert changes_since(world.twin, 1) is not None
    world.send({"level": None})
    world.clock += world.limits.tombstone_ttl_us
    world.send({"on": False})
    assert changes_since(world.twin, 1) is None
    assert since(world, 2) == {"on": False}
    delete(world.twin, "anna", world.clock + SECOND)
    world.clock += SECOND
    world.send({"x": 1})
    assert changes_since(world.twin, 3) is None
    assert since(world, 4) == {"x": 1}


@given(
    st.lists(
        st.tuples(patches, st.booleans(), st.sampled_from([0, 1, 2, 30]), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
@examples(600)
def test_applied_to_any_version_the_changes_give_the_present(
    messages: list[tuple[dict[str, Any], bool, int, bool]],
) -> None:
    """RFC 7396, whatever came late, was removed, or came back, at every version that is told."""
    world = World(policies={"reported.a.**": "max", "reported.b": "device"})
    known = [copy_object(world.reported)]
    for patch, full, late, desire in messages:
        send = world.desire if desire else world.send
        outcome = send(patch, full=full, time=world.clock - late * SECOND)
        if outcome.changed:
            known.append(copy_object(world.reported))
        check_section(world.twin.reported)
    for version, reported in enumerate(known):
        changes = since(world, version)
        assert changes is not None
        assert same(rfc7396(reported, changes), world.reported), (version, changes)


def test_every_field_says_who_when_and_in_which_version() -> None:
    """`$writer` where somebody else has since written the same again."""
    world = World()
    world.desire({"on": True, "color": {"r": 1, "x": {}, "deep": {"y": 1}}, "old": 1}, "anna")
    world.desire({"on": True, "color": {"r": 2}, "old": None}, "bert")
    assert describe(world.twin.desired) == {
        "on": {"$stamp": NOW + 2 * SECOND, "$version": 1, "$changed_by": "anna", "$writer": "bert"},
        "color": {
            "r": {"$stamp": NOW + 2 * SECOND, "$version": 2, "$changed_by": "bert"},
            "x": {},
            "deep": {"y": {"$stamp": NOW + SECOND, "$version": 1, "$changed_by": "anna"}},
        },
    }


@pytest.mark.parametrize("policies", [None, {"desired.a": "sum"}])
def test_a_value_that_is_more_than_plain_is_described_too(policies: dict[str, str] | None) -> None:
    """One that took an object's place, and one that a policy shows."""
    world = World(policies=policies)
    world.desire({"a": {"b": 1}}, "anna")
    world.desire({"a": 5}, "bert")
    assert describe(world.twin.desired) == {
        "a": {"$stamp": NOW + 2 * SECOND, "$version": 2, "$changed_by": "bert"}
    }
