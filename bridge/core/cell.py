"""What a policy keeps of one path, so that its value does not depend on the order of arrival.

A path whose policy is `latest`, `first` or `refuse` needs no more than its register. The others
keep the writes that may still decide: a function of a set of writes shows the same in whatever
order the set came together (design section 4, "Conflicts").

- `device`, `app`: the best write of either class of writers, and what each class had seen.
- `sum`: for each writer and boot the largest of its running totals.
- `max`, `min`: for each writer the largest or smallest of its numbers.
- `union`: each element, with the newest write that holds it; and the newest empty array.

Entries are tuples that begin with the key of their write, because there are many of them:
`(stamp, writer, boot_order, seq, version, value)`.
"""

from __future__ import annotations

import json
import math
from typing import Final, TypeAlias

from bridge.core.limits import BOOTS_PER_WRITER, INTEGER_MAX, INTEGER_MIN, SEEN_STEPS
from bridge.core.policy import PolicyName, Rules
from bridge.core.section import (
    CHANGED_BY,
    HIDDEN,
    VERSION,
    WRITER,
    Children,
    JsonObject,
    JsonValue,
    Key,
    Node,
    Register,
)

Entry: TypeAlias = "tuple[int, str, int, int, int, JsonValue]"
Contributor: TypeAlias = "str | tuple[str, int]"
"""Whose entries: a class of writers, a writer, a writer's boot, or an element's text."""

Seen: TypeAlias = "tuple[int, str, int, int, int]"
"""The key of a write, and the version that its writer had seen."""

VALUE: Final = 5
_SEEN: Final = 4
_NO_ELEMENT: Final = ""
"""Contributor of an empty array: no JSON value has an empty text."""

_BASE: Final = -1
"""Stands for the boots of a writer that were folded together; real ones begin with 0."""

CLASS_POLICIES: Final = frozenset({"device", "app"})
AGGREGATES: Final = frozenset({"sum", "max", "min", "union"})
CELL_POLICIES: Final = CLASS_POLICIES | AGGREGATES

ENTRY_BYTES: Final = 64
"""What an entry takes beside its writer's name and its value as JSON, in the store, rounded up."""

_ORDER_OF_TYPES: Final = {
    type(None): 0, bool: 1, int: 2, float: 2, str: 3, list: 4, dict: 5,
}  # fmt: skip


class Cell:
    """The writes of one path that may still decide what it shows.

    Attributes:
        policy: What it is for; one of `CELL_POLICIES`.
        reset: Key of the newest removal at this path, which older contributions do not survive;
            aggregates only.
        entries: Contributor -> its entries, the oldest first. More than one only for `sum`, where
            an older one is larger: a removal between them would leave the newer one.
        seen: Class of writers -> what it had seen, the oldest first, each less than the one before:
            a removal above may take the older ones. `device` and `app` only.
    """

    __slots__ = ("entries", "policy", "reset", "seen")

    def __init__(
        self,
        policy: PolicyName,
        reset: Key | None = None,
        entries: dict[Contributor, list[Entry]] | None = None,
        seen: dict[str, list[Seen]] | None = None,
    ) -> None:
        self.policy = policy
        self.reset = reset
        self.entries: dict[Contributor, list[Entry]] = {} if entries is None else entries
        self.seen: dict[str, list[Seen]] = {} if seen is None else seen

    @property
    def size(self) -> int:
        """How many entries it holds."""
        return sum(map(len, self.entries.values()))

    @property
    def size_bytes(self) -> int:
        """What its entries take in the store, rounded up."""
        return sum(
            ENTRY_BYTES + len(entry[WRITER]) + len(canonical(entry[VALUE]))
            for held in self.entries.values()
            for entry in held
        )

    def copy(self) -> Cell:
        """Return one that can be changed without this one."""
        return Cell(
            self.policy,
            self.reset,
            {contributor: [*held] for contributor, held in self.entries.items()},
            {kind: [*steps] for kind, steps in self.seen.items()},
        )

    def write(
        self, key: Key, value: JsonValue, version: int, writer_class: str, seen: int | None
    ) -> bool:
        """Take in a write; tells whether it may decide anything.

        Args:
            key: Of the write.
            value: Of the policy's type; None removes.
            version: What a reader must have seen to have seen this write.
            writer_class: `device` or `app`.
            seen: The version that the writer had seen, or None.
        """
        if self.policy in CLASS_POLICIES:
            return self._write_class(key, value, version, writer_class, seen)
        if value is None:
            self.reset = key if self.reset is None or self.reset < key else self.reset
            return self.drop_older(key)
        if self.reset is not None and key < self.reset:
            return False
        if self.policy == "union":
            return self._write_elements(key, value if isinstance(value, list) else [], version)
        if self.policy == "sum":
            return self._write_total((*key, version, value))
        return self._write_extreme((*key, version, value))

    def _write_class(
        self, key: Key, value: JsonValue, version: int, writer_class: str, seen: int | None
    ) -> bool:
        if seen is not None:
            self._note_seen((*key, seen), writer_class)
        best = self.entries.get(writer_class)
        if best is not None and best[0] > key:
            return False
        self.entries[writer_class] = [(*key, version, value)]
        return True

    def _note_seen(self, new: Seen, writer_class: str) -> None:
        steps = self.seen.get(writer_class, [])
        if any(old > new and old[_SEEN] >= new[_SEEN] for old in steps):
            return
        kept = [old for old in steps if old > new or old[_SEEN] > new[_SEEN]]
        self.seen[writer_class] = sorted((*kept, new))[:SEEN_STEPS]

    def _write_elements(self, key: Key, elements: list[JsonValue], version: int) -> bool:
        written = False
        by_text = {canonical(element): element for element in elements} or {_NO_ELEMENT: None}
        for text, element in by_text.items():
            held = self.entries.get(text)
            if held is None or held[0] < key:
                self.entries[text] = [(*key, version, element)]
                written = True
        return written

    def _write_extreme(self, entry: Entry) -> bool:
        held = self.entries.get(entry[1])
        if held is not None and self._rank(held[0]) >= self._rank(entry):
            return False
        self.entries[entry[1]] = [entry]
        return True

    def _rank(self, entry: Entry) -> tuple[float, Key]:
        number = number_of(entry)
        return (number if self.policy == "max" else -number, entry[:4])

    def _write_total(self, entry: Entry) -> bool:
        contributor = (entry[1], entry[2])
        held = self.entries.get(contributor, [])
        total = number_of(entry)
        if any(old > entry and number_of(old) >= total for old in held):
            return False
        kept = [old for old in held if old > entry or number_of(old) > total]
        self.entries[contributor] = sorted((*kept, entry))
        self._fold(entry[1])
        return True

    def _fold(self, writer: str) -> None:
        """Add the oldest boot of a writer to its base, where there are too many to tell apart."""
        boots = sorted(
            contributor[1]
            for contributor in self.entries
            if isinstance(contributor, tuple) and contributor[0] == writer and contributor[1] > 0
        )
        for boot in boots[: max(0, len(boots) - BOOTS_PER_WRITER)]:
            folded = self.entries.pop((writer, boot))
            base = self.entries.get((writer, _BASE), [])
            stamp, _, order, seq, version, _ = max([*base, folded[-1]])
            total = sum(number_of(held[0]) for held in (base, folded) if held)
            self.entries[writer, _BASE] = [(stamp, writer, order, seq, version, total)]

    def drop_older(self, key: Key) -> bool:
        """Forget all that a removal with this key takes; tells whether there was anything.

        What a class of writers had seen counts too: without it another write may show.
        """
        before = self.size, self.seen
        self.entries = {
            contributor: left
            for contributor, held in self.entries.items()
            if (left := [entry for entry in held if entry > key])
        }
        self.seen = {
            kind: later
            for kind, steps in self.seen.items()
            if (later := [step for step in steps if step > key])
        }
        return (self.size, self.seen) != before

    def settle(self, key: Key, version: int) -> None:
        """Give the write with this key the version that it turned out not to have made."""
        for held in self.entries.values():
            for index, entry in enumerate(held):
                if entry[:4] == key:
                    held[index] = (*key, version, entry[VALUE])

    def winner(self) -> Entry | None:
        """Return the write that shows, of `device` and `app`; None if there is none."""
        preferred = self.entries.get(self.policy)
        other_class = "app" if self.policy == "device" else "device"
        other = self.entries.get(other_class)
        if preferred is None or other is None:
            held = preferred or other
            return held[0] if held else None
        seen = max((step[_SEEN] for step in self.seen.get(other_class, ())), default=-1)
        had_seen_it = seen >= preferred[0][VERSION]
        return other[0] if had_seen_it and other[0] > preferred[0][:4] else preferred[0]

    def value(self) -> JsonValue:
        """Return what the path shows; None if nothing."""
        if self.policy in CLASS_POLICIES:
            winner = self.winner()
            return winner[VALUE] if winner else None
        if not self.entries:
            return None
        if self.policy == "union":
            held = (held[0][VALUE] for text, held in self.entries.items() if text != _NO_ELEMENT)
            return sorted(held, key=element_order)
        if self.policy == "sum":
            return within_range(self.total())
        return max((held[0] for held in self.entries.values()), key=self._rank)[VALUE]

    @property
    def is_in_range(self) -> bool:
        """Tell whether the sum fits the wire, and what was folded into bases the store."""
        numbers = [number_of(held[0]) for held in self.entries.values()]
        return is_in_range(self.total()) and all(map(is_in_range, numbers))

    def magnitude(self) -> int | float:
        """Return what no sum of some of the contributions is larger than, or as far below 0."""
        return sum(abs(number_of(held[0])) for held in self.entries.values())

    def total(self) -> int | float:
        """Return the sum of all contributions, exactly rounded; infinite where it is too large."""
        numbers = [number_of(held[0]) for held in self.entries.values()]
        if all(isinstance(number, int) for number in numbers):
            return sum(numbers)
        try:
            return math.fsum(numbers)
        except OverflowError:
            return math.inf


def class_of(writer: str, device: str) -> str:
    """Return the class of a writer of this device's twin."""
    return "device" if writer == device else "app"


def seeded(
    node: Node, value: JsonValue, policy: PolicyName, device: str, root: Register | None = None
) -> Cell:
    """Return a node's cell; where it has none for this policy, one that begins with what is there.

    Args:
        node: A path.
        value: What is visible there.
        policy: One of `CELL_POLICIES`.
        device: The twin's device.
        root: The last removal of the whole section: what it hides is not there.
    """
    if node.cell is not None and node.cell.policy == policy:
        return node.cell
    cell = Cell(policy)
    register = node.register
    if register is None or register[CHANGED_BY] == HIDDEN:
        return cell
    if not node.is_value and root is not None and register[:4] < root[:4]:
        return cell
    shown = value if node.is_value else None
    if shown is None or fits(policy, shown):
        writer_class = class_of(register[WRITER], device)
        cell.write(register[:4], shown, register[VERSION], writer_class, None)
    return cell


def cells_size_bytes(children: Children) -> int:
    """Return what all cells in these children and below them take in the store, rounded up."""
    total = 0
    for child in children.values():
        if isinstance(child, Node):
            total += 0 if child.cell is None else child.cell.size_bytes
            total += cells_size_bytes(child.children)
    return total


def keep_cells_of(rules: Rules | None, children: Children) -> None:
    """Let go of cells whose policy does not hold any more: what they showed is a plain value."""
    for name, child in children.items():
        if isinstance(child, Node):
            below = None if rules is None else rules.step(name)
            if child.cell is not None and (below is None or below.policy != child.cell.policy):
                child.cell = None
            keep_cells_of(below, child.children)


def without_aggregates(patch: JsonObject, rules: Rules | None) -> JsonObject:
    """Return a patch without the values that would be contributions; removals stay."""
    if rules is None:
        return patch
    left: JsonObject = {}
    for name, new in patch.items():
        below = rules.step(name)
        if isinstance(new, dict):
            inner = without_aggregates(new, below)
            if inner or not new:
                left[name] = inner
        elif new is None or below is None or below.policy not in AGGREGATES:
            left[name] = new
    return left


def fits(policy: PolicyName, value: JsonValue) -> bool:
    """Tell whether a policy can take a value, not None."""
    if policy not in AGGREGATES:
        return True
    if policy == "union":
        return isinstance(value, list)
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(entry: Entry) -> int | float:
    """Return the value of an entry that holds a number; 0 for any other."""
    value = entry[VALUE]
    return value if isinstance(value, int | float) else 0


def is_in_range(number: float) -> bool:
    """Tell whether a number fits the wire: 64 bits signed, or a finite float."""
    if isinstance(number, int):
        return INTEGER_MIN <= number <= INTEGER_MAX
    return math.isfinite(number)


def within_range(number: float) -> int | float:
    """Return a number that fits the wire: the nearest one that does.

    An update that would lead beyond is refused; only a removal that takes some of the
    contributions can.
    """
    if isinstance(number, int):
        return max(INTEGER_MIN, min(INTEGER_MAX, number))
    return number if math.isfinite(number) else math.copysign(float(INTEGER_MAX), number)


def canonical(value: JsonValue) -> str:
    """Return a text that two values share only if they are the same JSON value."""
    if isinstance(value, float):
        value += 0.0  # -0.0 is 0.0
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def element_order(value: JsonValue) -> tuple[int, float | str, bool]:
    """Return what elements of a union are sorted by: type, then value, then int before float."""
    rank = _ORDER_OF_TYPES[type(value)]
    if isinstance(value, bool | int | float):
        return (rank, value, isinstance(value, float))
    return (rank, value if isinstance(value, str) else canonical(value), False)
