"""Cells, exhaustively: every few writes to one path, in every order in which they can arrive."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any, Final, NamedTuple

import pytest

from bridge.core.cell import Cell, canonical, class_of
from bridge.core.policy import PolicyName
from bridge.core.section import Key

DEVICE: Final = "lamp"

KEYS: Final[dict[str, tuple[Key, ...]]] = {
    "stamps": ((1, "anna", 0, 1), (2, DEVICE, 0, 1), (3, "anna", 0, 2), (4, "bert", 0, 1)),
    "writers": ((1, "anna", 0, 1), (1, "bert", 0, 1), (1, DEVICE, 0, 1), (1, DEVICE, 0, 2)),
    "boots": ((1, "anna", 0, 1), (1, "anna", 0, 2), (1, "anna", 1, 1), (1, "anna", 2, 1)),
    "numbers": tuple((1, "anna", 0, seq) for seq in range(1, 5)),
}
"""Four writes, from the smallest key to the largest, by what their keys differ in."""

VALUES: Final[dict[PolicyName, tuple[Any, ...]]] = {
    "device": ("on", "off", None),
    "app": ("on", "off", None),
    "sum": (1, 3, 2.5, None),
    # Of these only each writer's best is kept: a late removal may take it with the rest.
    "max": (1, 3, 1.0),
    "min": (1, 3, 1.0),
    "union": ([1], [1, "a"], [], None),
}

SEEN: Final[dict[PolicyName, tuple[int | None, ...]]] = {
    "device": (None, 2),
    "app": (None, 2),
}
"""Where it counts: nothing, or the first two of the writes."""


class Write(NamedTuple):
    """What is given to a write once, whenever it arrives."""

    key: Key
    value: Any
    version: int
    seen: int | None


def shown(policy: PolicyName, writes: tuple[Write, ...]) -> str:
    """Return what a path shows after writes that arrive in this order, as its text."""
    cell = Cell(policy)
    for key, value, version, seen in writes:
        cell.write(key, value, version, class_of(key[1], DEVICE), seen)
    return canonical(cell.value())


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("policy", VALUES)
def test_every_order_of_arrival_ends_the_same(policy: PolicyName, keys: tuple[Key, ...]) -> None:
    """An older write that comes late neither replaces a newer one nor outlives a removal."""
    contents = tuple(product(VALUES[policy], SEEN.get(policy, (None,))))
    for chosen in product(contents, repeat=len(keys)):
        writes = tuple(
            Write(key, value, version, seen)
            for version, (key, (value, seen)) in enumerate(zip(keys, chosen, strict=True), 1)
        )
        in_order = shown(policy, writes)
        for arrived in permutations(writes):
            assert shown(policy, arrived) == in_order, arrived
