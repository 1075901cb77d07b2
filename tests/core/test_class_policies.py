"""Paths that belong to the device, or to applications."""

from __future__ import annotations

from typing import Any

from bridge.core.section import VERSION
from bridge.core.since import changes_since
from tests.core.invariants import check_section
from tests.core.world import NOW, SECOND, World, register_at

HOUR = 3600 * SECOND


def test_a_write_that_the_policy_hides_makes_no_version() -> None:
    """It is superseded, and kept among the conflicts."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "eco"}, "lamp-1")
    blind = world.desire({"mode": "party"}, "anna")
    assert (blind.changed, blind.superseded) == (False, True)
    assert [tuple(conflict) for conflict in blind.conflicts] == [
        (("mode",), "device", "eco", "lamp-1", NOW + SECOND, "party", "anna", NOW + 2 * SECOND)
    ]
    knowing = world.desire({"mode": "party"}, "anna", seen=1)
    assert (knowing.changed, knowing.conflicts) == (True, ())
    assert world.desired == {"mode": "party"}


def test_what_the_writer_could_not_have_seen_does_not_count_as_seen() -> None:
    """A `seen` above the present version is the present one."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "party"}, "anna", seen=99)
    world.desire({"mode": "eco"}, "lamp-1", time=world.clock - HOUR)
    assert world.desired == {"mode": "eco"}


def test_a_late_write_of_the_preferred_class_takes_the_place() -> None:
    """The device decided offline; the application's write is the loser that is kept."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "party"}, "anna")
    late = world.desire({"mode": "eco"}, "lamp-1", time=world.clock - HOUR)
    assert late.change is not None
    assert late.change.forward == {"mode": "eco"}
    assert late.change.backward == {"mode": "party"}
    assert [tuple(conflict) for conflict in late.conflicts] == [
        (("mode",), "device", "eco", "lamp-1", NOW + 2 * SECOND - SECOND - HOUR, "party", "anna",
         NOW + SECOND)
    ]  # fmt: skip
    assert register_at(world, "mode") == (NOW + SECOND, "anna", 0, NOW + SECOND, 2, "lamp-1")


def test_a_late_write_of_the_preferred_class_replaces_its_own_without_a_conflict() -> None:
    """What an application has written meanwhile was not seen, and lost before."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "eco"}, "lamp-1")
    between = world.clock + SECOND // 2
    world.desire({"mode": "party"}, "anna")
    late = world.desire({"mode": "night"}, "lamp-1", time=between)
    assert (world.desired, late.conflicts) == ({"mode": "night"}, ())


def test_a_late_write_that_shows_the_same_changes_nothing() -> None:
    """And is settled at the version at which that was already visible."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "eco"}, "anna")
    late = world.desire({"mode": "eco"}, "lamp-1", time=world.clock - HOUR)
    assert (late.changed, late.superseded, late.conflicts) == (False, False, ())
    assert world.desire({"mode": "party"}, "bert", seen=1).changed


def test_a_preferred_removal_comes_late_and_hides() -> None:
    """The path becomes a tombstone, and a knowing write brings it back."""
    world = World(policies={"desired.mode": "app"})
    world.desire({"mode": "eco"}, "lamp-1")
    late = world.desire({"mode": None}, "anna", time=world.clock - HOUR)
    assert late.change is not None
    assert late.change.forward == {"mode": None}
    assert world.desired == {}
    assert ("mode",) in world.twin.desired.tombstones
    assert world.desire({"mode": "party"}, "lamp-1", seen=2).changed
    assert ("mode",) not in world.twin.desired.tombstones


def test_a_late_write_does_not_show_below_what_is_newer() -> None:
    """A newer object in the place of the value keeps it."""
    world = World(policies={"desired.mode": "device"})
    world.desire({"mode": "party"}, "anna")
    world.desire({"mode": {"name": "x"}}, "anna")
    world.desire({"mode": "eco"}, "lamp-1", time=world.clock - HOUR)
    assert world.desired == {"mode": {"name": "x"}}
    world.desire({"mode": {"name": None}}, "anna")
    world.desire({"mode": "night"}, "lamp-1", time=world.clock - HOUR)
    assert world.desired == {}


def test_a_removal_above_can_uncover_what_the_policy_had_hidden() -> None:
    """The device's older write goes, the application's newer one stays."""
    below: Any
    for above, below in (
        ({"a": None}, {"mode": "party"}),
        ({"a": 3}, {"mode": "party"}),
        ({"a": 3}, {"b": {"mode": "party"}}),
    ):
        world = World(policies={"desired.a.mode": "device", "desired.a.b.mode": "device"})
        world.desire({"a": {"mode": None, "b": {"mode": None}}}, "lamp-1")
        world.desire({"a": below}, "anna")
        assert world.desired == {}
        removal = world.desire(above, "bert", time=world.clock - SECOND // 2)
        assert world.desired == {"a": below}
        assert removal.change is not None
        assert removal.change.forward == {"a": below}
        assert register_at(world, "a")[VERSION] == world.twin.version
        assert ("a",) in world.twin.desired.tombstones
        check_section(world.twin.desired)


def test_full_can_uncover_too() -> None:
    """Where the aggregate or the class's write that it takes is older."""
    world = World(policies={"desired.a.mode": "device"})
    world.desire({"z": 0, "a": {"x": 0, "mode": None}}, "lamp-1")
    world.desire({"z": 1, "a": {"x": 1, "mode": "party"}}, "anna")
    assert world.desired == {"z": 1, "a": {"x": 1}}
    outcome = world.desire({}, "bert", full=True, time=world.clock - SECOND // 2)
    assert world.desired == {"z": 1, "a": {"x": 1, "mode": "party"}}
    assert outcome.change is not None
    assert outcome.change.forward == {"a": {"mode": "party"}}
    check_section(world.twin.desired)


def test_full_uncovers_beside_what_it_names() -> None:
    """What was hidden is not among what it removes, at the top and in an object that it names."""
    world = World(policies={"desired.mode": "device", "desired.a.mode": "device"})
    world.desire({"z": 0, "mode": None, "a": {"mode": None}}, "lamp-1")
    world.desire({"z": 1, "mode": "party", "a": {"x": 1, "mode": "party"}}, "anna")
    between = world.clock - SECOND // 2
    outcome = world.desire({"a": {"y": 2}}, "bert", full=True, time=between)
    assert world.desired == {"z": 1, "mode": "party", "a": {"x": 1, "y": 2, "mode": "party"}}
    assert outcome.change is not None
    assert outcome.change.forward == {"mode": "party", "a": {"y": 2, "mode": "party"}}
    check_section(world.twin.desired)


def test_an_object_goes_with_what_a_full_takes_below_it() -> None:
    """A removal by the other class shows now; an object that was set to be there stays."""
    world = World(policies={"desired.**": "app"})
    world.desire({"a": {"b": {"c": 1}}, "d": {}}, "anna")
    world.desire({"d": {"e": 1}}, "anna")
    world.desire({"a": {"b": {"c": None}}, "d": {"e": None}}, "lamp-1")
    assert world.desired == {"a": {"b": {"c": 1}}, "d": {"e": 1}}
    before = world.twin.version
    between = world.clock - SECOND // 2
    outcome = world.desire({"a": {"b": {"c": {}}}, "d": {}}, "bert", full=True, time=between)
    assert world.desired == {"d": {}}
    assert outcome.change is not None
    assert outcome.change.forward == {"a": None, "d": {"e": None}}
    assert changes_since(world.twin, before) == ({}, {"a": None, "d": {"e": None}})
    check_section(world.twin.desired)


def test_a_class_policy_that_comes_knows_whose_value_is_there() -> None:
    """The device's own stands against an application that had not seen it."""
    world = World(policies={"desired.mode": "device"})
    rules, world.twin.desired.rules = world.twin.desired.rules, None
    world.desire({"mode": "eco"}, "lamp-1")
    world.twin.desired.rules = rules
    assert world.desire({"mode": "party"}, "anna").superseded
    assert world.desired == {"mode": "eco"}


def test_a_removal_above_leaves_no_claim_of_what_was_below() -> None:
    """The device's removal went with it, and the application's write shows."""
    world = World(policies={"desired.**": "device"})
    world.desire({"c": {"b": None}}, "lamp-1")
    world.desire({"c": 1}, "anna")
    world.desire({"c": {"b": 1}}, "anna")
    assert world.desired == {"c": {"b": 1}}


def test_a_preferred_write_that_had_seen_the_other_is_in_no_conflict() -> None:
    """Although it comes later than its own later message, and so with an older stamp."""
    world = World(policies={"desired.**": "device"})
    world.desire({}, "lamp-1", boot=2, seq=3)
    world.desire({}, "lamp-1", boot=0, seq=1)
    world.desire({"b": 1}, "zoe")
    outcome = world.desire({"b": 0}, "lamp-1", boot=2, seq=7, seen=15)
    assert (world.desired, outcome.conflicts) == ({"b": 0}, ())
