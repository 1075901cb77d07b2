"""What a fleet change does to a section, held against what the core makes of the patches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from bridge.core.difference import copy_object, difference, value_at
from bridge.core.fleet_patch import is_reported, prior_of, restoring, stands
from bridge.core.section import JsonObject, Path
from tests.core.test_tree import patches
from tests.core.world import World
from tests.support.examples import examples


def leaves(patch: JsonObject, above: Path = ()) -> list[Path]:
    """Return the paths of the values and removals in a merge patch."""
    found: list[Path] = []
    for name, member in patch.items():
        path = (*above, name)
        found += leaves(member, path) if isinstance(member, dict) and member else [path]
    return found


@given(patches, patches)
@examples(200)
def test_an_undone_patch_leaves_what_was_there(before: JsonObject, patch: JsonObject) -> None:
    """Values, removals, objects in the place of values, and values in the place of objects."""
    world = World()
    world.desire(before)
    was = copy_object(world.desired)
    prior = prior_of(world.desired, patch)
    world.desire(copy_object(patch))
    assert stands(world.desired, patch)
    undo, is_whole = restoring(world.desired, patch, prior)
    assert is_whole
    world.desire(undo)
    assert world.desired == was
    assert not restoring(world.desired, patch, prior)[0] or was == world.desired


@given(patches, patches, patches)
@examples(300)
def test_what_others_have_written_since_is_left(
    before: JsonObject, patch: JsonObject, other: JsonObject
) -> None:
    """At the same paths, above them and below them."""
    world = World()
    world.desire(before)
    prior = prior_of(world.desired, patch)
    world.desire(copy_object(patch))
    written = copy_object(world.desired)
    world.desire(copy_object(other), "somebody")
    since = copy_object(world.desired)
    undo, is_whole = restoring(world.desired, patch, prior)
    assert is_whole or since != written
    world.desire(undo)
    for path in leaves(difference(written, since)[0]):
        assert value_at(world.desired, path) == value_at(since, path), path


@pytest.mark.parametrize(
    ("section", "patch", "holds"),
    [
        ({"mode": "eco"}, {"mode": "eco"}, True),
        ({"mode": "eco", "on": True}, {"mode": "eco"}, True),
        ({}, {"mode": "eco"}, False),
        ({"on": 1}, {"on": True}, False),
        ({"level": 1}, {"level": 1.0}, False),
        ({}, {"mode": None}, True),
        ({"mode": "eco"}, {"mode": None}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
        ({"a": {"c": 1}}, {"a": {"b": None}}, True),
        ({}, {"a": {"b": None}}, True),
        ({"a": 7}, {"a": {"b": 1}}, False),
        ({"a": {"b": 1}}, {"a": {}}, True),
        ({"a": 7}, {"a": {}}, False),
        ({"scene": [1, {"a": 2}]}, {"scene": [1, {"a": 2}]}, True),
    ],
)
def test_a_section_that_holds_a_patch_is_known(
    section: dict[str, Any], patch: dict[str, Any], holds: bool
) -> None:
    """Everything that the patch says, and nothing else matters."""
    assert stands(section, patch) is holds


@pytest.mark.parametrize(
    ("reported", "patch", "holds"),
    [
        ({"level": 21.299999237060547}, {"level": 21.3}, True),
        ({"level": 1.0}, {"level": 1}, True),
        ({"level": 20}, {"level": 21}, False),
        ({}, {"level": 21}, False),
        ({"mode": "eco"}, {"mode": None}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}, True),
        ({}, {"a": {"c": None}}, True),
    ],
)
def test_a_device_has_converged_where_no_delta_is_left_of_the_patch(
    reported: dict[str, Any], patch: dict[str, Any], holds: bool
) -> None:
    """As the delta is computed; what is removed from `desired` asks nothing of a device."""
    assert is_reported(reported, patch) is holds


def test_a_value_in_the_place_of_an_object_is_undone_whole() -> None:
    """And the other way round, but not where somebody has written beside."""
    assert prior_of({"a": {"x": 1}}, {"a": 5}) == {"a": {"x": 1}}
    assert restoring({"a": 5}, {"a": 5}, {"a": {"x": 1}}) == ({"a": {"x": 1}}, True)
    assert prior_of({"a": 5}, {"a": {"x": 1}}) == {"a": 5}
    assert restoring({"a": {"x": 1}}, {"a": {"x": 1}}, {"a": 5}) == ({"a": 5}, True)
    assert restoring({"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"a": 5}) == ({}, False)


def test_a_field_in_a_new_object_is_removed_alone() -> None:
    """What somebody has put beside it stays."""
    assert prior_of({}, {"a": {"b": 1}}) == {"a": {"b": None}}
    undo = {"a": {"b": None}}
    assert restoring({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, undo) == (undo, True)
