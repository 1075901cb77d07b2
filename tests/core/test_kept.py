"""What policies keep beside what is visible: its size, and what of it stays."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.bounds import json_size
from bridge.core.cell import Cell, cells_size_bytes, keep_cells_of, without_aggregates
from bridge.core.limits import Limits
from bridge.core.policy import Policies
from bridge.core.refusal import Refusal
from bridge.core.rules import Rules
from bridge.core.section import Children, Node, Section
from bridge.core.topics import TwinKey
from tests.core.world import World

ENTRY = 64
"""Bytes that an entry takes beside its writer and its value."""


def rules_of(**table: str) -> Rules | None:
    """The rules of `desired`; a path's dots are written as two underscores."""
    paths = {f"desired.{path.replace('__', '.')}": policy for path, policy in table.items()}
    return Policies.parse({"*": paths}, Limits()).rules(TwinKey("lamp-1"), "desired")


def cells(section: Section) -> dict[str, str]:
    """Path -> the policy of the cell there."""

    def walk(children: Children, above: str) -> dict[str, str]:
        found = {}
        for name, child in children.items():
            if isinstance(child, Node):
                if child.cell is not None:
                    found[above + name] = child.cell.policy
                found |= walk(child.children, f"{above}{name}.")
        return found

    return walk(section.nodes, "")


@pytest.mark.parametrize(
    ("policies", "messages", "size"),
    [
        ({"a": "latest"}, [{"a": 1}], 0),
        ({"a": "sum"}, [{"a": 10}], ENTRY + len("w0") + len("10")),
        ({"a": "sum"}, [{"a": 10}, {"a": 7}], 2 * (ENTRY + len("w0")) + len("10") + len("7")),
        ({"a": "union"}, [{"a": ["ü", 1]}], 2 * (ENTRY + len("w0")) + len('"ü"') + len("1")),
        ({"a.*": "max", "b": "device"}, [{"a": {"x": 1, "y": 2}, "b": "on"}],
         3 * (ENTRY + len("w0")) + len("1") + len("2") + len('"on"')),
        ({"a": "app"}, [{"a": None}], ENTRY + len("w0") + len("null")),
    ],
)  # fmt: skip
def test_what_cells_take_is_counted_entry_by_entry(
    policies: dict[str, str], messages: list[dict[str, Any]], size: int
) -> None:
    """Rounded up: the writer's name, the value as JSON, and what is around them."""
    world = World(policies={f"desired.{path}": policy for path, policy in policies.items()})
    for number, message in enumerate(messages):
        world.desire(message, f"w{number}")
    assert cells_size_bytes(world.twin.desired.nodes) == size


def test_what_policies_keep_is_bounded() -> None:
    """It is refused where it grows, to the byte; whoever has contributed goes on."""
    world = World(policies={"desired.a": "max", "desired.b": "max"})
    entry = ENTRY + len("w0") + len("1")
    world.limits = Limits(twin_bytes=5 * entry)
    for number in range(5):
        assert world.desire({"a": 1}, f"w{number}").refusal is None
    refusal = Refusal(
        413,
        "too_much_kept",
        f"what policies keep of the twin would be {6 * entry} bytes, the limit is {5 * entry}: "
        "set fields to null, or raise limits.twin_bytes",
    )
    assert world.desire({"a": 1}, "w5").refusal == refusal
    assert world.desire({"b": 1}, "w0").refusal == refusal
    assert world.desire({"a": 2}, "w0").refusal is None
    assert cells_size_bytes(world.twin.desired.nodes) == 5 * entry
    assert world.desire({"a": None}, "w0").refusal is None
    assert world.desire({"a": 1, "b": 1}, "w5").refusal is None


def test_what_both_sections_keep_counts() -> None:
    """And what is below objects."""
    world = World(policies={"desired.x.*": "max", "reported.**": "sum"})
    entry = ENTRY + len("w0") + len("1")
    world.limits = Limits(twin_bytes=3 * entry)
    world.send({"a": 1, "b": {"c": 1}}, writer="w0")
    assert world.desire({"x": {"y": 1}}, "w0").refusal is None
    assert world.desire({"x": {"z": 1}}, "w0").refusal is not None
    assert world.send({"d": 1}, writer="w0").refusal is not None
    assert world.desire({"plain": {"z": 1}}, "w0").refusal is None
    assert json_size(world.twin.document()) < 3 * entry


def test_a_bound_of_what_is_kept_is_remembered() -> None:
    """It grows with what comes, and is counted anew where it would pass the limit."""
    world = World(policies={"desired.a": "max"})
    assert world.twin.cells_at_most is None
    for _ in range(2):
        world.desire({"a": 1}, "w0")
    kept = cells_size_bytes(world.twin.desired.nodes)
    assert world.twin.cells_at_most is not None
    assert kept <= world.twin.cells_at_most
    before = world.twin.cells_at_most
    world.desire({"a": [1, 2, 3]}, "w0")
    assert world.twin.cells_at_most == before, "it was refused"
    world.send({"x": [1, 2, 3]})
    assert world.twin.cells_at_most == before, "no policy holds in that section"


@pytest.mark.parametrize(
    ("table", "left"),
    [
        ({"a": "sum", "b__c": "max"}, {"a": "sum", "b.c": "max"}),
        ({"a": "max", "b__c": "max"}, {"b.c": "max"}),
        ({"b__c": "max"}, {"b.c": "max"}),
        ({"a": "sum"}, {"a": "sum"}),
        ({"b__c": "latest", "a": "first"}, {}),
    ],
)
def test_cells_go_with_their_policy(table: dict[str, str], left: dict[str, str]) -> None:
    """What they showed is a plain value; where the policy still holds they stay."""
    world = World(policies={"desired.a": "sum", "desired.b.c": "max"})
    world.desire({"plain": 1, "a": 1, "b": {"plain": 1, "c": 2}}, "anna")
    keep_cells_of(rules_of(**table), world.twin.desired.nodes)
    assert cells(world.twin.desired) == left
    assert world.desired == {"plain": 1, "a": 1, "b": {"plain": 1, "c": 2}}


def test_without_rules_no_cell_stays() -> None:
    """Not below another one's path either."""
    nodes: Children = {"a": Node(cell=Cell("sum"), children={"b": Node(cell=Cell("max"))})}
    keep_cells_of(None, nodes)
    section = Section()
    section.nodes = nodes
    assert cells(section) == {}


@pytest.mark.parametrize(
    ("patch", "left"),
    [
        ({"a": 1, "b": 2}, {"b": 2}),
        ({"a": None, "b": 2}, {"a": None, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {}}, {"a": {}}),
        ({"a": 0, "b": 0}, {"b": 0}),
        ({"o": {"s": 1, "t": 2}}, {"o": {"t": 2}}),
        ({"o": {"s": 1}}, {}),
        ({"o": {}}, {"o": {}}),
        ({"o": 5, "d": "on"}, {"o": 5, "d": "on"}),
        ({"o": {"s": None}, "x": {"y": {}}}, {"o": {"s": None}, "x": {"y": {}}}),
    ],
)
def test_a_patch_without_aggregates_has_its_removals(
    patch: dict[str, Any], left: dict[str, Any]
) -> None:
    """And whatever stands beside the contributions, but no object that they leave empty."""
    rules = rules_of(a="sum", o__s="union", d="device")
    assert without_aggregates(patch, rules) == left
    assert without_aggregates(patch, None) == patch
