"""Cells: what the policies that are functions of a set make of it."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.cell import Cell, canonical, class_of, element_order, fits, seeded, within_range
from bridge.core.limits import BOOTS_PER_WRITER, INTEGER_MAX, INTEGER_MIN, SEEN_STEPS
from bridge.core.policy import PolicyName
from bridge.core.section import HIDDEN, Key, Node
from tests.support.examples import examples


def key(stamp: int, writer: str = "w", order: int = 0, seq: int = 0) -> Key:
    """The key of a write."""
    return (stamp, writer, order, seq)


def write(
    cell: Cell,
    stamp: int,
    value: Any,
    *,
    writer: str = "w",
    order: int = 0,
    version: int = 0,
    seen: int | None = None,
) -> bool:
    """Write as a device where the writer is `lamp`, else as an application."""
    return cell.write(key(stamp, writer, order), value, version, class_of(writer, "lamp"), seen)


@pytest.mark.parametrize(
    ("policy", "values", "shown"),
    [
        ("sum", [3, 4], 7),
        ("sum", [3, 4.5], 7.5),
        ("sum", [0.1, 0.2, 0.3], 0.6),
        ("sum", [1e16, 1, -1e16], 1.0),
        ("max", [3, 7, 5], 7),
        ("min", [3, 7, 2.5], 2.5),
        ("max", [1, 1.0], 1.0),
        ("min", [1, 1.0], 1.0),
        ("max", [1.0, 1], 1),
        ("union", [["b", 2], ["a", 2, True]], [True, 2, "a", "b"]),
        ("union", [[2.5, 10, 2], [None, [1], {"k": 1}, "2", False]],
         [None, False, 2, 2.5, 10, "2", [1], {"k": 1}]),
        ("union", [[1], [1.0], [True]], [True, 1, 1.0]),
        ("union", [[], []], []),
    ],
)  # fmt: skip
def test_an_aggregate_shows_all_its_writers(
    policy: PolicyName, values: list[Any], shown: Any
) -> None:
    """One value of each of several writers, in every order of arrival."""
    for order in itertools.permutations(enumerate(values)):
        cell = Cell(policy)
        for number, value in order:
            assert write(cell, number + 1, value, writer=f"w{number}") or value == []
        found = cell.value() if cell.entries or policy != "union" else []
        assert canonical(found) == canonical(shown)


def test_a_total_counts_once_for_each_writer_and_boot() -> None:
    """The largest of a boot is its total; another boot begins at nothing."""
    cell = Cell("sum")
    assert write(cell, 1, 5, writer="a", order=1)
    assert write(cell, 2, 8, writer="a", order=1)
    assert not write(cell, 1, 7, writer="a", order=1)
    assert write(cell, 3, 2, writer="a", order=2)
    assert write(cell, 3, 10, writer="b", order=1)
    assert cell.value() == 20
    assert cell.size == 3


def test_a_total_that_fell_keeps_what_a_removal_in_between_would_leave() -> None:
    """Both are kept: the larger one shows, and the later one survives the removal."""
    for removal_last in (True, False):
        cell = Cell("sum")
        write(cell, 10, 9)
        write(cell, 30, 4)
        assert (cell.value(), cell.size) == (9, 2)
        if removal_last:
            assert write(cell, 20, None)
        else:
            cell = Cell("sum")
            assert not write(cell, 20, None)
            assert not write(cell, 10, 9)
            assert write(cell, 30, 4)
        assert cell.value() == 4


def test_a_total_in_between_that_decides_nothing_is_not_kept() -> None:
    """Something later is as large; and what is later and as large replaces it."""
    cell = Cell("sum")
    write(cell, 30, 4)
    assert not write(cell, 20, 4)
    assert not write(cell, 20, 3)
    assert write(cell, 20, 5)
    assert write(cell, 40, 5)
    assert cell.size == 1
    assert cell.entries["w", 0][0][0] == 40


def test_a_reset_takes_what_is_older_whenever_it_comes() -> None:
    """And the newest reset counts."""
    cell = Cell("max")
    write(cell, 10, 9, writer="a")
    write(cell, 30, 5, writer="b")
    assert write(cell, 20, None)
    assert cell.value() == 5
    assert not write(cell, 15, 99, writer="c")
    assert not write(cell, 12, None)
    assert not write(cell, 15, 99, writer="c")
    assert write(cell, 25, 6, writer="c")
    assert cell.value() == 6
    assert write(cell, 40, None)
    assert cell.value() is None


def test_more_boots_than_are_told_apart_are_added_up_in_a_base() -> None:
    """The sum stays what it was, and the base is as new as the newest in it."""
    cell = Cell("sum")
    for order in range(1, BOOTS_PER_WRITER + 4):
        write(cell, order, order, writer="a", order=order)
        write(cell, order, 100, writer="plain")
    boots = BOOTS_PER_WRITER + 3
    assert cell.value() == 100 + boots * (boots + 1) // 2
    assert cell.size == 1 + BOOTS_PER_WRITER + 1
    assert cell.entries["a", -1][0] == (3, "a", 3, 0, 0, 6)
    write(cell, 3, None, writer="z")
    assert cell.value() == sum(range(4, boots + 1)) + 100


def test_what_has_no_number_is_no_boot() -> None:
    """With as many boots as are told apart, messages without `seq` still stand for themselves."""
    cell = Cell("sum")
    for order in range(BOOTS_PER_WRITER + 1):
        write(cell, 1, 1, writer="a", order=order)
    assert ("a", -1) not in cell.entries
    assert cell.size == cell.value() == BOOTS_PER_WRITER + 1


def test_the_base_of_a_writer_is_its_own() -> None:
    """Boots of other writers are not counted with it, and none of them is folded."""
    cell = Cell("sum")
    for order in range(1, BOOTS_PER_WRITER + 1):
        write(cell, 1, 1, writer="a", order=order)
        write(cell, 1, 1, writer="b", order=order)
    assert cell.size == 2 * BOOTS_PER_WRITER
    write(cell, 2, 1, writer="a", order=BOOTS_PER_WRITER + 1)
    assert {who for who, boot in cell.entries if boot == -1} == {"a"}  # type: ignore[misc]


def test_an_extreme_is_kept_for_each_writer() -> None:
    """The larger one, and of equal ones the newer, so that the older removal does not take it."""
    cell = Cell("max")
    assert write(cell, 10, 5)
    assert not write(cell, 20, 4)
    assert write(cell, 30, 5)
    assert not write(cell, 25, 5)
    assert write(cell, 5, 9, writer="other")
    assert cell.size == 2
    assert cell.entries["w"][0][0] == 30
    assert cell.value() == 9


def test_an_element_is_as_new_as_its_newest_write() -> None:
    """A removal takes those that nobody has written since."""
    cell = Cell("union")
    write(cell, 10, ["a", "b"])
    write(cell, 30, ["b"], writer="other")
    assert not write(cell, 20, ["b"])
    assert write(cell, 20, ["b", "c"])
    write(cell, 20, None, writer="z")
    assert cell.value() == ["b"]
    assert write(cell, 21, ["c", "b"], version=7)
    assert cell.value() == ["b", "c"]
    assert cell.entries['"c"'] == [(21, "w", 0, 0, 7, "c")]


@pytest.mark.parametrize("policy", ["device", "app"])
def test_the_preferred_class_shows_unless_the_other_had_seen_it(policy: PolicyName) -> None:
    """The other class shows where it is newer and had seen what it overwrites."""
    preferred, other = ("lamp", "anna") if policy == "device" else ("anna", "lamp")
    cell = Cell(policy)
    write(cell, 10, 1, writer=other, version=1)
    assert cell.value() == 1
    write(cell, 5, 2, writer=preferred, version=2)
    assert cell.value() == 2
    write(cell, 20, 3, writer=other, version=3)
    assert cell.value() == 2
    write(cell, 21, 4, writer=other, version=4, seen=1)
    assert cell.value() == 2
    assert write(cell, 22, 5, writer=other, version=5, seen=2)
    assert cell.value() == 5
    assert cell.winner() == (22, other, 0, 0, 5, 5)
    write(cell, 23, 6, writer=preferred, version=6)
    assert cell.value() == 6


def test_having_seen_an_older_value_counts_only_where_the_write_is_newer() -> None:
    """What was written before the preferred class wrote cannot have overwritten it."""
    cell = Cell("device")
    write(cell, 20, 1, writer="lamp", version=3)
    write(cell, 10, 2, writer="anna", version=4, seen=9)
    assert cell.value() == 1


def test_a_class_remembers_the_most_that_it_had_seen() -> None:
    """Also where its newest write had seen less; a removal above takes what is older."""
    cell = Cell("device")
    write(cell, 10, 1, writer="lamp", version=3)
    write(cell, 20, 2, writer="anna", version=4, seen=3)
    write(cell, 30, 3, writer="bert", version=5, seen=1)
    assert cell.value() == 3
    assert len(cell.seen["app"]) == 2
    write(cell, 15, 9, writer="anna", version=5, seen=2)
    assert len(cell.seen["app"]) == 2
    write(cell, 25, 9, writer="anna", version=5, seen=1)
    assert [(step[0], step[4]) for step in cell.seen["app"]] == [(20, 3), (30, 1)]
    write(cell, 31, 3, writer="anna", version=5, seen=1)
    assert [(step[0], step[4]) for step in cell.seen["app"]] == [(20, 3), (31, 1)]
    assert not cell.drop_older(key(5))
    assert cell.drop_older(key(25))
    assert (cell.value(), [step[4] for step in cell.seen["app"]]) == (3, [1])


def test_what_a_class_had_seen_is_bounded() -> None:
    """Of many writers that had seen ever less, the least is forgotten."""
    cell = Cell("app")
    for number in range(SEEN_STEPS + 5):
        write(cell, number, 1, writer="anna", seen=100 - number)
    assert len(cell.seen["app"]) == SEEN_STEPS
    assert cell.seen["app"][0][4] == 100


def test_a_removal_is_a_write_of_its_class() -> None:
    """The device's removal hides what an application had written blindly, and no more."""
    cell = Cell("device")
    write(cell, 20, 7, writer="anna", version=1)
    assert write(cell, 10, None, writer="lamp", version=2)
    assert cell.value() is None
    write(cell, 30, 8, writer="anna", version=3, seen=2)
    assert cell.value() == 8


def test_an_older_write_of_a_class_decides_nothing() -> None:
    """And the version of a write can be set once it is known."""
    cell = Cell("app")
    write(cell, 20, 1, writer="anna", version=5)
    assert not write(cell, 10, 2, writer="bert", version=6)
    cell.settle(key(20, "anna"), 4)
    assert cell.entries["app"] == [(20, "anna", 0, 0, 4, 1)]


def test_a_copy_changes_alone() -> None:
    """It is what a refusal is decided on."""
    cell = Cell("sum")
    write(cell, 1, 5)
    copied = cell.copy()
    write(copied, 2, 7)
    write(copied, 1, None)
    assert (cell.value(), copied.value(), cell.reset) == (5, 7, None)
    classes = Cell("device")
    write(classes, 1, 5, writer="anna", seen=1)
    again = classes.copy()
    write(again, 2, 6, writer="anna", seen=2)
    assert (classes.value(), again.value()) == (5, 6)
    assert [step[4] for step in classes.seen["app"]] == [1]
    assert (copied.copy().reset, classes.copy().seen) == (copied.reset, classes.seen)


def test_a_sum_of_integers_ends_at_64_bits() -> None:
    """Only a removal of some contributions leads there; an update that does is refused."""
    cell = Cell("sum")
    write(cell, 2, INTEGER_MAX, writer="a")
    write(cell, 2, 5, writer="b")
    assert (cell.total(), cell.value()) == (INTEGER_MAX + 5, INTEGER_MAX)
    write(cell, 2, 1e308, writer="c")
    write(cell, 2, 1e308, writer="d")
    assert cell.total() == float("inf")
    assert cell.value() == float(INTEGER_MAX)
    assert within_range(INTEGER_MIN - 1) == INTEGER_MIN
    assert within_range(-float("inf")) == -float(INTEGER_MAX)
    assert within_range(1.5) == 1.5


def test_a_value_has_one_text() -> None:
    """Whatever the order of its keys; an element of a union is known by it."""
    assert canonical({"b": "ü", "a": [1, 2.0]}) == '{"a":[1,2.0],"b":"ü"}'
    assert canonical(-0.0) == canonical(0.0) == "0.0"
    assert canonical(2.5) == "2.5"


@pytest.mark.parametrize(
    "ordered",
    [
        [None, False, True, -1, 0, 2, 2.0, "", "a", [1], [], {"k": 1}, {}],
        ["\n", " ", "!", "A", "ü"],
        [[10], [1], [2]],
    ],
)
def test_elements_are_sorted_by_type_and_then_by_value(ordered: list[Any]) -> None:
    """Texts as they are, arrays and objects by their text."""
    for order in (ordered[::-1], ordered[1:] + ordered[:1]):
        assert list(map(repr, sorted(order, key=element_order))) == list(map(repr, ordered))


@pytest.mark.parametrize(
    ("policy", "value", "taken"),
    [
        ("sum", 1, True), ("max", 1.5, True), ("min", True, False), ("sum", "1", False),
        ("sum", [1], False), ("union", [1], True), ("union", 1, False), ("union", "a", False),
        ("device", "a", True), ("app", True, True), ("latest", [1], True), ("refuse", 1, True),
    ],
)  # fmt: skip
def test_a_policy_takes_its_types(policy: PolicyName, value: Any, taken: bool) -> None:
    """Numbers are no booleans, and a union is of arrays."""
    assert fits(policy, value) is taken


def test_a_cell_begins_with_what_is_there() -> None:
    """A plain value becomes its writer's contribution, a removal a reset."""
    value = Node((10, "lamp", 2, 3, 4, "lamp"), is_value=True)
    assert seeded(value, 5, "sum", "lamp").entries == {("lamp", 2): [(10, "lamp", 2, 3, 4, 5)]}
    assert seeded(value, 5, "app", "lamp").entries == {"device": [(10, "lamp", 2, 3, 4, 5)]}
    assert seeded(value, "on", "max", "lamp").entries == {}
    removal = Node((10, "anna", 0, 3, 4, "anna"))
    assert seeded(removal, None, "min", "lamp").reset == (10, "anna", 0, 3)
    assert seeded(removal, {"below": 1}, "device", "lamp").value() is None
    assert seeded(removal, None, "device", "lamp").entries["app"][0][5] is None
    assert seeded(Node(), None, "union", "lamp").size == 0
    hidden = Node((10, "anna", 0, 3, 4, HIDDEN))
    assert seeded(hidden, None, "sum", "lamp").value() is None


def test_a_cell_of_another_policy_is_replaced_by_what_it_shows() -> None:
    """And one of the same policy is kept."""
    node = Node((10, "lamp", 0, 3, 4, "lamp"), is_value=True)
    node.cell = Cell("sum")
    write(node.cell, 5, 3, writer="a")
    assert seeded(node, 3, "sum", "lamp") is node.cell
    assert seeded(node, 3, "max", "lamp").entries == {"lamp": [(10, "lamp", 0, 3, 4, 3)]}


elements = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.0, 1.0, 2.5]), st.text("ab"),
    st.lists(st.integers(0, 1), max_size=2), st.dictionaries(st.text("k"), st.integers(0, 1)),
)  # fmt: skip


@given(st.lists(elements, max_size=6), st.randoms())
@examples(100)
def test_elements_have_one_order(values: list[Any], shuffle: random.Random) -> None:
    """Whatever order they come in, the texts of the sorted ones are the same."""
    before = [canonical(value) for value in sorted(values, key=element_order)]
    shuffle.shuffle(values)
    assert [canonical(value) for value in sorted(values, key=element_order)] == before
