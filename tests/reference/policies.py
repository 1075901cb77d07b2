"""The nine policies, as functions of all that was ever written at a path.

Nothing is kept here and nothing is folded: each function looks at the whole list again. A writer's
boots are not folded into a base, because a history has no more than eight of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

Path = tuple[str, ...]
Key = tuple[int, str, int, int]
Table = dict[str, str]
"""Path pattern, section first -> policy; levels are names, `*`, and `**` as the last."""

AGGREGATES = ("sum", "max", "min", "union")
CLASSES = ("device", "app")
INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1


class Write:
    """One value or removal set at one path.

    Attributes:
        key: What orders it: stamp, writer, order of the boot, seq.
        value: None for a removal.
        turn: Number of the message, in order of arrival.
        seen: The version that its writer had seen, or None.
        version: What a reader must have seen to have seen it.
        unnamed: It is of a `full` that does not name the path.
        spared: Paths that a `full` names, and that keep what they have because of `first`.
        spared_values: Paths that showed a value when it came.
    """

    __slots__ = (
        "key",
        "seen",
        "spared",
        "spared_values",
        "turn",
        "unnamed",
        "value",
        "version",
    )

    def __init__(
        self, key: Key, value: Any, turn: int, seen: int | None, *, unnamed: bool = False
    ) -> None:
        self.key = key
        self.value = value
        self.turn = turn
        self.seen = seen
        self.version = 0
        self.unnamed = unnamed
        self.spared: tuple[Path, ...] = ()
        self.spared_values: frozenset[Path] = frozenset()


def policy_finder(table: Table, section: str) -> Callable[[Path], str]:
    """Return what tells the policy of a path: that of its most specific pattern."""
    patterns = [
        (levels[1:], policy)
        for pattern, policy in table.items()
        if (levels := pattern.split("."))[0] == section
    ]
    known: dict[Path, str] = {}

    def find(path: Path) -> str:
        if path not in known:
            matching = [
                (_specificity(levels), policy)
                for levels, policy in patterns
                if _matches(levels, path)
            ]
            known[path] = max(matching, default=((), "latest"))[1]
        return known[path]

    return find


def _matches(levels: Sequence[str], path: Path) -> bool:
    if levels[-1] == "**":
        levels = levels[:-1]
        if len(path) <= len(levels):
            return False
    elif len(path) != len(levels):
        return False
    return all(level in ("*", name) for level, name in zip(levels, path, strict=False))


def _specificity(levels: Sequence[str]) -> tuple[int, ...]:
    return tuple({"**": 0, "*": 1}.get(level, 2) for level in levels)


def fits(policy: str, value: Any) -> bool:
    """Tell whether a policy can take a value."""
    if policy == "union":
        return type(value) is list
    return policy not in AGGREGATES or type(value) in (int, float)


def show(policy: str, writes: list[Write], above: list[Write], device: str) -> Any:
    """Return what a path shows; None if nothing.

    Args:
        policy: The path's.
        writes: All values and removals set at the path, in order of arrival.
        above: All values and removals set above it, the section's removals included.
        device: The writer who is the device.
    """
    if policy in CLASSES:
        winner = winning(policy, writes, above, device)
        return None if winner is None else winner.value
    if policy in AGGREGATES:
        kept = contributions(policy, writes, above)
        return AGGREGATE[policy](kept) if kept else None
    return max(writes, key=lambda write: write.key).value


def winning(policy: str, writes: list[Write], above: list[Write], device: str) -> Write | None:
    """Of `device` and `app`, return the write that shows."""
    floor = max((write.key for write in above), default=None)
    own: list[Write] = []
    others: list[Write] = []
    for write in writes:
        if not write.unnamed and (floor is None or write.key >= floor):
            is_preferred = (write.key[1] == device) == (policy == "device")
            (own if is_preferred else others).append(write)
    best = max(own, key=lambda write: write.key, default=None)
    other = max(others, key=lambda write: write.key, default=None)
    if best is None or other is None:
        return best or other
    had_seen = max((write.seen for write in others if write.seen is not None), default=-1)
    return other if other.key > best.key and had_seen >= best.version else best


def contributions(policy: str, writes: list[Write], above: list[Write]) -> list[Write]:
    """Of an aggregate, return the writes that count.

    For `max` and `min` this goes through what happened in order of arrival, because of each writer
    only its best number is remembered: a removal that arrives late may take it, and leaves nothing
    where a smaller one was newer. All other policies are functions of the set.
    """
    resets = [*above, *(write for write in writes if write.value is None)]
    values = [write for write in writes if write.value is not None]
    if policy not in ("max", "min"):
        floor = max((write.key for write in resets), default=None)
        return [write for write in values if floor is None or write.key >= floor]
    best: dict[str, Write] = {}
    happened = sorted([*resets, *values], key=lambda write: (write.turn, write.value is not None))
    newest_reset: Key | None = None
    above_set = set(map(id, above))
    for write in happened:
        if write.value is None or id(write) in above_set:
            best = {name: kept for name, kept in best.items() if kept.key >= write.key}
            newest_reset = write.key if newest_reset is None else max(newest_reset, write.key)
        elif newest_reset is None or write.key >= newest_reset:
            held = best.get(write.key[1])
            if held is None or _rank(policy, write) > _rank(policy, held):
                best[write.key[1]] = write
    return list(best.values())


def _rank(policy: str, write: Write) -> tuple[Any, Key]:
    return (write.value if policy == "max" else -write.value, write.key)


def _total(writes: list[Write]) -> int | float:
    """Each writer's largest running total of each boot, added up."""
    largest: dict[tuple[str, int], Write] = {}
    for write in writes:
        contributor = write.key[1], write.key[2]
        held = largest.get(contributor)
        if held is None or _rank("max", write) > _rank("max", held):
            largest[contributor] = write
    numbers = [write.value for write in largest.values()]
    if all(type(number) is int for number in numbers):
        return sum(numbers)
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.inf


def _union(writes: list[Write]) -> list[Any]:
    elements = {_text(element): element for write in writes for element in write.value}
    return sorted(elements.values(), key=_place_in_order)


AGGREGATE: dict[str, Callable[[list[Write]], Any]] = {
    "sum": _total,
    "max": lambda writes: max(writes, key=lambda write: _rank("max", write)).value,
    "min": lambda writes: max(writes, key=lambda write: _rank("min", write)).value,
    "union": _union,
}


def is_in_range(number: float) -> bool:
    """Tell whether a sum may be: 64 bits signed, or finite."""
    return INTEGER_MIN <= number <= INTEGER_MAX if type(number) is int else math.isfinite(number)


def matters(policy: str, kept: list[Write], write: Write) -> bool:
    """Tell whether an aggregate took a write in: something may still come of it."""
    if write not in kept:
        return False
    newer = [other for other in kept if other.key > write.key]
    if policy == "sum":
        mine = [other for other in newer if other.key[1:3] == write.key[1:3]]
        return not any(other.value >= write.value for other in mine)
    if policy == "union":
        # Of empty arrays the newest counts: it is a value too.
        held = {text for other in newer for text in _texts(other.value)}
        return not _texts(write.value) <= held
    return True


def _texts(array: list[Any]) -> set[str]:
    return set(map(_text, array)) or {""}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _place_in_order(value: Any) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (2, value, isinstance(value, float))
    if isinstance(value, str):
        return (3, value)
    return (4 if isinstance(value, list) else 5, _text(value))
