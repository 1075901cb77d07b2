"""The tree, exhaustively: every few writes along one path, with each of them late."""

from __future__ import annotations

from itertools import islice, permutations, product
from typing import Any, Final

import pytest

from bridge.core.policy import Rules
from bridge.core.section import Section
from bridge.core.tree import Merge
from tests.core.reference_tree import ReferenceSection
from tests.reference.pair import policies_of
from tests.reference.steps import APPS, DEVICE, TWIN_KEY
from tests.reference.values import same

# It is work, not waiting: on a busy machine it takes long.
pytestmark = pytest.mark.timeout(1800)

Write = tuple[dict[str, Any], bool]
"""A patch, and whether it is `full`."""

PATCHES: Final[tuple[dict[str, Any], ...]] = (
    {"a": 1},
    {"a": None},
    {"a": {}},
    {"a": {"b": 1}},
    {"a": {"b": None}},
    {"a": {"b": {}}},
    {"a": {"b": {"c": 1}}},
    {"a": {"b": {"c": None}}},
)
"""Everything that a patch can say of a path of three levels."""

WRITES: Final = 4

LATE: Final[tuple[tuple[int, ...], ...]] = tuple(
    (*range(late), *range(late + 1, until + 1), late, *range(until + 1, WRITES))
    for late in range(WRITES)
    for until in range(late + 1, WRITES)
)
"""Orders of arrival in which one write comes after some that are newer."""


def visible(writes: tuple[Write, ...], order: tuple[int, ...]) -> dict[str, Any]:
    """Merge writes in this order of arrival, each with its place in `writes` for a key."""
    section = Section()
    for version, number in enumerate(order):
        patch, full = writes[number]
        Merge(section, (number, "anna", 0, number), version, version).apply(patch, full=full)
    return section.value


def by_the_rules(writes: tuple[Write, ...]) -> dict[str, Any]:
    """Return what the rules say of all writes, whenever they came."""
    reference = ReferenceSection()
    for number, (patch, full) in enumerate(writes):
        reference.write(patch, number, full=full)
    return reference.visible()


@pytest.mark.parametrize("full", [None, *range(WRITES)])
def test_a_late_write_shows_what_it_would_have_shown_in_time(full: int | None) -> None:
    """Whatever the four say, and whichever of them, if any, is the whole section."""
    ordinary = [(patch, False) for patch in PATCHES]
    whole = [(patch, True) for patch in ({}, *PATCHES)]
    for writes in product(*(whole if number == full else ordinary for number in range(WRITES))):
        expected = by_the_rules(writes)
        for order in (tuple(range(WRITES)), *LATE):
            assert same(visible(writes, order), expected), (writes, order)


POLICED: Final[dict[str, Any]] = {"device": 1, "app": 1, "sum": 1, "union": [1]}
"""Policy -> a value; of `max` and `min` only each writer's best is kept, and removals take that."""


def policed(rules: Rules | None, arrived: tuple[tuple[int, str, Write], ...]) -> dict[str, Any]:
    """Merge writes, each with its number and its writer, in this order of arrival."""
    section = Section(rules)
    for arrival, (number, writer, (patch, full)) in enumerate(arrived):
        merge = Merge(section, (number, writer, 0, number), number, arrival, device=DEVICE)
        merge.apply(patch, full=full)
    return section.value


@pytest.mark.parametrize("policy", POLICED)
@pytest.mark.parametrize("writers", list(permutations((DEVICE, *APPS[:2]))), ids=" ".join)
def test_policies_show_the_same_in_every_order(policy: str, writers: tuple[str, ...]) -> None:
    """Of every three writes to a path and the one above it, one of them `full` or none."""
    rules = policies_of({"desired.**": policy}).rules(TWIN_KEY, "desired")
    values = (POLICED[policy], None, {})
    patches = [patch for value in values for patch in ({"a": value}, {"a": {"b": value}})]
    anything = [(patch, full) for full in (False, True) for patch in patches]
    for writes in product(anything, repeat=len(writers)):
        if sum(full for _, full in writes) > 1:
            continue
        numbered = tuple(zip(range(len(writers)), writers, writes, strict=True))
        in_order = policed(rules, numbered)
        for arrived in islice(permutations(numbered), 1, None):
            assert same(policed(rules, arrived), in_order), arrived
