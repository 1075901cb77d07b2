"""What is remembered at each path: the newest key, the version of the last change, who made it."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.section import HIDDEN, Children, Node, Register
from tests.core.invariants import check_section
from tests.core.world import NOW, SECOND, World

HOUR = 3600 * SECOND


def written(register: Register) -> str:
    """Return a register as `writer@second v3`, and who made that version if it was another."""
    stamp, writer, _, _, version, changed_by = register
    by = {writer: "", HIDDEN: " hidden"}.get(changed_by, f" by {changed_by}")
    return f"{writer}@{(stamp - NOW) / SECOND:g} v{version}{by}"


def remembered(children: Children, above: str = "") -> dict[str, str]:
    """Return what is known of each path: a value, `gone` where there is none, `{}` of a marker."""
    found = {}
    for name, child in children.items():
        path = f"{above}{name}"
        if not isinstance(child, Node):
            found[path] = written(child)
            continue
        if child.register is not None:
            found[path] = ("" if child.is_value else "gone ") + written(child.register)
        if child.marker is not None:
            found[path + " {}"] = written(child.marker)
        found |= remembered(child.children, f"{path}.")
    return found


Message = tuple[str, float, dict[str, Any]]
"""Who writes, at which second of its clock, and what."""


@pytest.mark.parametrize(
    ("messages", "known"),
    [
        pytest.param(
            [("anna", 1, {"a": 1}), ("bert", 2, {"a": 1})],
            {"a": "bert@2 v1 by anna"},
            id="the same again: a newer key, the old version",
        ),
        pytest.param(
            [("anna", 1, {"a": 1}), ("bert", 2, {"a": None}), ("carl", 3, {"a": None})],
            {"a": "gone carl@3 v2 by bert"},
            id="removed again",
        ),
        pytest.param(
            [("anna", 1, {"a": 1}), ("bert", 2, {"a": {"b": 1}})],
            {"a": "gone anna@1 v2 hidden", "a.b": "bert@2 v2"},
            id="a value that an object hides",
        ),
        pytest.param(
            [("anna", 1, {"a": {"b": 1, "c": 2}}), ("bert", 2, {"a": 5})],
            {"a": "bert@2 v2", "a.b": "gone anna@1 v2 hidden", "a.c": "gone anna@1 v2 hidden"},
            id="values that one above them hides",
        ),
        pytest.param(
            [("anna", 1, {"a": {}}), ("bert", 2, {"a": {}})],
            {"a {}": "bert@2 v1 by anna"},
            id="an empty object again",
        ),
        pytest.param(
            [("anna", 1, {"a": {"b": 1}}), ("bert", 2, {"a": {}})],
            {"a {}": "bert@2 v1", "a.b": "anna@1 v1"},
            id="an empty object where there is one",
        ),
        pytest.param(
            [("anna", 2, {"a": {}}), ("bert", 1, {"a": {}})],
            {"a {}": "anna@2 v1"},
            id="a late empty object",
        ),
        pytest.param(
            [("anna", 1, {"a": {}}), ("bert", 2, {"a": None})],
            {"a": "gone bert@2 v2"},
            id="an empty object that is removed",
        ),
        pytest.param(
            [("anna", 1, {"a": {"b": {}}}), ("bert", 2, {"a": None})],
            {"a": "gone bert@2 v2", "a.b": "gone anna@1 v2 hidden"},
            id="an empty object that one above removes",
        ),
        pytest.param(
            [("anna", 1, {"a": {"b": 1}}), ("bert", 2, {"a": {"c": 1}}), ("carl", 1.5, {"a": 5})],
            {"a": "gone carl@1.5 v3", "a.b": "gone anna@1 v3 hidden", "a.c": "bert@2 v2"},
            id="a late value that hides a part of an object",
        ),
        pytest.param(
            [("anna", 2, {"a": {"b": 1}}), ("carl", 1, {"a": 5})],
            {"a": "gone carl@1 v1", "a.b": "anna@2 v1"},
            id="a late value that hides nothing",
        ),
        pytest.param(
            [("anna", 1, {"a": None}), ("bert", 3, {"a": {"b": 1}}), ("carl", 2, {"a": None})],
            {"a": "gone carl@2 v0 by anna", "a.b": "bert@3 v1"},
            id="a late removal that hides nothing",
        ),
        pytest.param(
            [("anna", 1, {"a": {"b": 1}}), ("bert", 3, {"a": {"b": None}}), ("c", 2, {"a": 5})],
            {"a": "gone c@2 v2", "a.b": "gone bert@3 v2"},
            id="a late value above a newer removal",
        ),
        pytest.param(
            [
                ("a", 1, {"a": {"b": {"c": 1}}}),
                ("a", 3, {"a": {"b": {"c": None}}}),
                ("b", 2, {"a": 5}),
            ],
            {"a": "gone b@2 v2", "a.b.c": "gone a@3 v2"},
            id="a late value far above a newer removal",
        ),
        pytest.param(
            [("a", 1, {"a": {"b": 1, "c": 1}}), ("a", 3, {"a": {"b": None}}), ("b", 2, {"a": 5})],
            {"a": "gone b@2 v3", "a.b": "gone a@3 v2", "a.c": "gone a@1 v3 hidden"},
            id="a late value above a newer removal and an older value",
        ),
        pytest.param(
            [("a", 3, {"a": {"b": {"c": None}}}), ("b", 1, {"a": {"b": 1}}), ("c", 2, {"a": 5})],
            {"a": "gone c@2 v0", "a.b": "gone b@1 v0 hidden", "a.b.c": "gone a@3 v0"},
            id="late values above a newer removal",
        ),
        pytest.param(
            [("anna", 1, {"a": 1}), ("bert", 2, {"a": {"b": None}})],
            {"a": "gone anna@1 v2 hidden", "a.b": "gone bert@2 v1"},
            id="a removal below a value",
        ),
    ],
)
def test_a_path_remembers_its_newest_key_and_its_last_visible_change(
    messages: list[Message], known: dict[str, str]
) -> None:
    """Whatever the order in which the messages came."""
    world = World()
    world.clock += HOUR
    for writer, second, patch in messages:
        world.desire(patch, writer, time=NOW + round(second * SECOND))
    assert remembered(world.twin.desired.nodes) == known
    check_section(world.twin.desired)


@pytest.mark.parametrize("late", [{"a": None}, {"a": 5}, {"a": {"b": None}}, {"a": {}}])
def test_a_late_message_that_hides_nothing_is_no_change(late: dict[str, Any]) -> None:
    """Neither a version nor a row for the history."""
    world = World()
    world.desire({"a": {"b": 1}}, "anna")
    outcome = world.desire(late, "bert", time=NOW)
    assert (outcome.version, outcome.changed, outcome.change) == (1, False, None)
    assert world.desired == {"a": {"b": 1}}


def test_full_that_changes_nothing_keeps_the_version_of_the_last_one() -> None:
    """The removal of the whole section is as new as the newest `full`."""
    world = World()
    world.desire({"a": 1, "b": 1}, "anna")
    for writer in ("bert", "carl"):
        world.desire({"a": 1}, writer, full=True, time=world.clock)
    section = world.twin.desired
    assert section.root is not None
    assert written(section.root) == "carl@2 v2 by bert"
    assert section.tombstones[()] == world.clock
    assert remembered(section.nodes) == {"a": "carl@2 v1 by anna", "b": "gone bert@1 v2"}
    check_section(section)


@pytest.mark.parametrize(
    ("before", "late", "superseded"),
    [
        ([("a", 1, {"a": {"b": 1}}), ("a", 3, {"a": {"b": None}})], {"a": 5}, True),
        ([("a", 3, {"a": {"b": 1}})], {"a": 5}, True),
        ([("a", 3, {"a": {"b": 1}})], {"a": None}, True),
        ([("a", 3, {"a": {}})], {"a": 5}, True),
        ([("a", 3, {"a": 5})], {"a": {"b": 1}}, True),
        ([("a", 3, {"a": {}})], {"a": {}}, True),
        ([("a", 1, {"a": {"b": 1}}), ("a", 3, {"a": {"c": 1}})], {"a": 5}, False),
        ([("a", 1, {"a": 1}), ("a", 1.5, {"a": None})], {"a": None}, False),
        ([("a", 1, {"a": {"b": 1}}), ("a", 1.5, {"a": 5})], {"a": 5}, False),
        ([("a", 1, {"a": {"b": None}})], {"a": None}, False),
        ([("a", 3, {"b": 1})], {"a": None}, False),
        ([("a", 3, {"b": 1})], {}, False),
    ],
)
def test_a_message_is_superseded_where_none_of_it_decides_anything(
    before: list[Message], late: dict[str, Any], superseded: bool
) -> None:
    """Of what is there, or is not there because of it."""
    world = World()
    world.clock += HOUR
    for writer, second, patch in before:
        world.desire(patch, writer, time=NOW + round(second * SECOND))
    assert world.desire(late, "b", time=NOW + 2 * SECOND).superseded is superseded


def test_an_empty_object_that_full_takes_leaves_a_removal() -> None:
    """Nothing below it can say that it went."""
    world = World()
    world.desire({"a": {}}, "anna")
    world.desire({"a": {"b": None}}, "bert", full=True)
    assert world.desired == {}
    known = remembered(world.twin.desired.nodes)
    assert known["a"] == "gone bert@2 v2"
    check_section(world.twin.desired)


def test_full_that_names_an_empty_object_keeps_it() -> None:
    """With the version at which it came."""
    world = World()
    world.desire({"a": {}, "b": {"c": 1}}, "anna")
    world.desire({"a": {}, "b": {}}, "bert", full=True)
    assert remembered(world.twin.desired.nodes) == {
        "a {}": "bert@2 v1 by anna",
        "b {}": "bert@2 v1",
        "b.c": "gone bert@2 v2",
    }


def test_a_late_full_says_nothing_of_what_stands_below_something_newer() -> None:
    """Not even that an object is to be there: what is hidden above it hides that too."""
    world = World()
    world.desire({"a": 1}, "anna")
    world.desire({"a": {"b": {"c": 1}}}, "anna")
    known = remembered(world.twin.desired.nodes)
    world.desire({"a": {"b": {}}}, "bert", full=True, time=NOW)
    assert remembered(world.twin.desired.nodes) == known
    world.desire({"a": {"b": {"c": None}}}, "anna")
    assert world.desired == {}


def test_a_tombstone_is_as_old_as_what_made_it() -> None:
    """By the bridge's clock; one that is made again is the newest."""
    world = World()
    world.desire({"a": {"b": 1}, "c": 2, "d": 3}, "anna")
    first = world.clock
    world.desire({"c": None, "d": None}, "anna")
    world.desire({"a": 5}, "anna")
    world.desire({"c": None}, "bert")
    assert list(world.twin.desired.tombstones.items()) == [
        (("d",), first + SECOND),
        (("a", "b"), first + 2 * SECOND),
        (("c",), first + 3 * SECOND),
    ]
    world.desire({"d": 4}, "anna")
    assert ("d",) not in world.twin.desired.tombstones
