"""One section of a twin: what is visible, and the registers that decide what will be.

A section holds two parallel trees. `value` is the plain JSON object that people see. `nodes`
mirrors it with what merging needs to know, and remembers removals too.

Registers are plain tuples, because there is one for each field of each twin:

    (stamp, writer, boot_order, seq, version, changed_by)

The first four are the *key*, which is totally ordered and given once, on arrival; the last two say
which version last changed what is visible here, and who did (nobody, the empty string, where
something newer hides it). Keys are four of these. As tuples of
different length compare by their common part first, `register < key` says that the key is the
newer one; a key is only ever compared with registers of other messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from bridge.core.cell import Cell
    from bridge.core.model import Model
    from bridge.core.policy import Rules

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"
Key: TypeAlias = "tuple[int, str, int, int]"
Register: TypeAlias = "tuple[int, str, int, int, int, str]"
Path: TypeAlias = "tuple[str, ...]"

STAMP: Final = 0
WRITER: Final = 1
VERSION: Final = 4
CHANGED_BY: Final = 5

HIDDEN: Final = ""
"""`changed_by` of what something newer hides: that counts, and not what it hides."""


class Node:
    """A path that is, or was, more than a plain live value.

    A live value with nothing remembered below it is the bare register in its parent's `children`;
    everything else is a Node.

    Attributes:
        register: The last value or removal set *at* this path. It shadows what is older below,
            and stays when an object took the value's place. None where there never was one.
        is_value: The register's value is visible now, in the parallel `value` tree.
        marker: The last `{}` set at this path: the object is there although it may be empty.
        children: Nodes and bare registers below, by key.
        cell: What the path's policy keeps of its writes, or None. Its newest key is the register's.
    """

    __slots__ = ("cell", "children", "is_value", "marker", "register")

    def __init__(
        self,
        register: Register | None = None,
        is_value: bool = False,
        marker: Register | None = None,
        children: Children | None = None,
        cell: Cell | None = None,
    ) -> None:
        self.register = register
        self.is_value = is_value
        self.marker = marker
        self.children: Children = {} if children is None else children
        self.cell = cell

    @property
    def is_bare(self) -> bool:
        """Nothing is remembered here any more: the node can go."""
        return self.register is None and self.marker is None and not self.children


Child: TypeAlias = "Node | Register"
Children: TypeAlias = "dict[str, Child]"


_NONE_BURIED: Final[dict[Path, int]] = {}
"""Shared by the many sections in which nothing was removed: only `Section.bury` adds tombstones."""


class Section:
    """`reported` or `desired` of one twin.

    Attributes:
        value: What is visible.
        nodes: Its registers and what is remembered of removals.
        root: The last removal of the whole section (by `full` or a deletion), or None.
        version: The twin's version at the last visible change of this section.
        tombstones: Path -> arrival in µs of each register without a visible value, the oldest
            first. The root's path is ().
        rules: The conflict policies of its paths; None where all of them are `latest`.
        model: What it has to fit; None where that is nothing.
    """

    __slots__ = ("model", "nodes", "root", "rules", "tombstones", "value", "version")

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules
        self.model: Model | None = None
        self.value: JsonObject = {}
        self.nodes: Children = {}
        self.root: Register | None = None
        self.version = 0
        self.tombstones: dict[Path, int] = _NONE_BURIED

    def clear(self, removal: Register, version: int) -> None:
        """Forget everything but the removal itself, as a deletion of the twin does."""
        self.value = {}
        self.nodes = {}
        self.root = removal
        self.version = version
        self.tombstones = {(): removal[STAMP]}

    def bury(self, path: Path, arrival: int) -> None:
        """Enter a tombstone as the newest."""
        if not self.tombstones:
            self.tombstones = {}
        self.tombstones.pop(path, None)
        self.tombstones[path] = arrival

    def expire_tombstones(self, arrived_before: int, keep: int) -> int:
        """Forget old tombstones; what is visible stays as it is.

        Args:
            arrived_before: Those that arrived before this time, in µs, go.
            keep: Of the rest at most this many stay; the oldest go first.

        Returns:
            The highest version among those that went, 0 if none did.
        """
        horizon = 0
        surplus = len(self.tombstones) - keep
        # All at once: a dict from which the first is taken again and again looks longer each time.
        expired: list[Path] = []
        for path, arrival in self.tombstones.items():
            if arrival >= arrived_before and len(expired) >= surplus:
                break
            expired.append(path)
        for path in expired:
            del self.tombstones[path]
            horizon = max(horizon, self._forget(path))
        return horizon

    def _forget(self, path: Path) -> int:
        """Drop the register at `path` and what became empty above it; returns its version."""
        if not path:
            version = self.root[VERSION] if self.root else 0
            self.root = None
            return version
        trail: list[tuple[Children, str, Node]] = []
        children = self.nodes
        for name in path:
            node = children.get(name)
            if not isinstance(node, Node):
                return 0
            trail.append((children, name, node))
            children = node.children
        node = trail[-1][2]
        register = node.register
        node.register = None
        node.cell = None
        for siblings, name, above in reversed(trail):
            if not above.is_bare:
                break
            del siblings[name]
        return register[VERSION] if register else 0

    def registers(self) -> Iterator[Register]:
        """Yield every register of the section, markers and removals included."""
        if self.root is not None:
            yield self.root
        yield from registers_below(self.nodes)


def registers_below(children: Children) -> Iterator[Register]:
    """Yield every register in these children and below them."""
    for child in children.values():
        if isinstance(child, tuple):
            yield child
            continue
        if child.register is not None:
            yield child.register
        if child.marker is not None:
            yield child.marker
        yield from registers_below(child.children)


def newest_of(children: Children, marker: Register | None) -> Register | None:
    """Return the newest register in these children, below them, and of a marker above them."""
    newest = max(registers_below(children), default=marker)
    return newest if newest is None or marker is None else max(newest, marker)


def copy_nodes(nodes: Children) -> Children:
    """Return children that can be changed without these."""
    return {
        name: Node(
            child.register,
            child.is_value,
            child.marker,
            copy_nodes(child.children),
            None if child.cell is None else child.cell.copy(),
        )
        if isinstance(child, Node)
        else child
        for name, child in nodes.items()
    }


def same(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two JSON values are the same: `true` is not 1, and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def count_leaves(value: JsonObject) -> int:
    """Count the fields of an object: values and empty objects, at every level."""
    total = 0
    for member in value.values():
        total += count_leaves(member) if isinstance(member, dict) and member else 1
    return total
