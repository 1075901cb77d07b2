"""A section's registers as small numbers (format 2 of `bridge.store.codec`).

One message writes several fields, and they share its register: each distinct register stands in a
table once, and a field is the index of its own. An object's children are a list, without their
names where all of them are visible: the published state beside has these in the same order. A
child is

- an index ≥ 0: a live value with that register;
- a number < 0: a removal, whose register has the index -1 minus it;
- a list of children: an object of which nothing else is remembered;
- a list that begins with nil: any other node, spelled out: register, whether it is a value, marker,
  cell, and children.

Where a child is not visible, or their order is another one, the list of children begins with true,
and a name stands before each child that is not simply the next one of the state.
"""

from __future__ import annotations

from typing import Final

from bridge.core.section import Child, Children, JsonObject, Node, Register, Section
from bridge.store.cell_codec import decode_cell, encode_cell
from bridge.store.key_codec import KeyDecoder, KeyEncoder, Packed

_NO_VALUE: Final[JsonObject] = {}


class SectionEncoder:
    """Encodes the sections of one twin, which share a table of registers."""

    __slots__ = ("_keys", "_registers")

    def __init__(self, keys: KeyEncoder) -> None:
        self._keys = keys
        self._registers: dict[Register, int] = {}

    def section(self, section: Section) -> Packed:
        """Return a section without its visible values."""
        now = self._keys.now
        return [
            section.version,
            self._optional(section.root),
            [[now - arrival, *path] for path, arrival in section.tombstones.items()],
            self._children(section.nodes, section.value),
        ]

    def registers(self) -> Packed:
        """Return the table of all registers that were met."""
        keys = self._keys
        now, version, names = keys.now, keys.version, keys.names
        # As `KeyEncoder.key`, but for every message that a twin remembers.
        return [
            (
                now - stamp,
                names[writer],
                order,
                seq if order else stamp - seq,
                version - last_version,
                names[changed_by],
            )
            for stamp, writer, order, seq, last_version, changed_by in self._registers
        ]

    def _children(self, nodes: Children, value: JsonObject) -> Packed:
        if len(nodes) != len(value) or list(nodes) != list(value):
            return self._named_children(nodes, value)
        registers = self._registers
        packed: Packed = []
        last: Register | None = None
        for name, child in nodes.items():
            if child is last:  # As it is for the fields of one message: no need to look it up.
                packed.append(packed[-1])
            elif type(child) is tuple:
                packed.append(registers.setdefault(child, len(registers)))
                last = child
            else:
                packed.append(self._child(child, value[name]))
                last = None
        return packed

    def _named_children(self, nodes: Children, value: JsonObject) -> Packed:
        """Encode children of which some are not visible, or whose order is their own."""
        same_order = [name for name in nodes if name in value] == list(value)
        packed: Packed = [True]
        for name, child in nodes.items():
            if name not in value or not same_order:
                packed.append(name)
            packed.append(self._child(child, value.get(name)))
        return packed

    def _child(self, child: Child, member: object) -> int | Packed:
        if isinstance(child, tuple):
            return self._register(child)
        below = member if isinstance(member, dict) else _NO_VALUE
        if child.marker is None and child.cell is None:
            if child.register is None:
                return self._children(child.children, below)
            if not child.is_value and not child.children:
                return -1 - self._register(child.register)
        return [
            None,
            self._optional(child.register),
            child.is_value,
            self._optional(child.marker),
            None if child.cell is None else encode_cell(child.cell, self._keys),
            self._children(child.children, below),
        ]

    def _optional(self, register: Register | None) -> int | None:
        return None if register is None else self._register(register)

    def _register(self, register: Register) -> int:
        return self._registers.setdefault(register, len(self._registers))


class SectionDecoder:
    """Builds the sections of one twin again.

    Args:
        keys: Made of what the encoder had.
        registers: The table.
    """

    __slots__ = ("_keys", "_registers")

    def __init__(self, keys: KeyDecoder, registers: Packed) -> None:
        self._keys = keys
        now, version, names = keys.now, keys.version, keys.names
        one_object = keys.times.setdefault
        self._registers: list[Register] = [
            (
                one_object(stamp := now - age, stamp),
                names[writer],
                order,
                seq if order else one_object(stamp - seq, stamp - seq),
                version - versions_ago,
                names[changed_by],
            )
            for age, writer, order, seq, versions_ago, changed_by in registers
        ]

    def fill(self, section: Section, packed: Packed, value: JsonObject) -> None:
        """Fill an empty section; `value` is what is visible of it."""
        section.version, root, tombstones, children = packed
        section.root = self._optional(root)
        # Copied item by item: tables that the JSON parser made take a third more.
        section.value = dict(value.items())
        section.nodes = self._children(children, value)
        if tombstones:
            now = self._keys.now
            section.tombstones = {tuple(path): now - age for age, *path in tombstones}

    def _children(self, packed: Packed, value: JsonObject) -> Children:
        if packed and packed[0] is True:
            return self._named_children(packed, value)
        registers = self._registers
        children: Children = {}
        for name, item in zip(value, packed, strict=True):
            if type(item) is int:
                children[name] = registers[item]
            else:
                children[name] = self._child(item, value[name])
        return children

    def _named_children(self, packed: Packed, value: JsonObject) -> Children:
        names = iter(value)
        items = iter(packed)
        next(items)
        children: Children = {}
        for item in items:
            if isinstance(item, str):
                name, child = item, next(items)
            else:
                name, child = next(names), item
            children[name] = self._child(child, value.get(name))
        return children

    def _child(self, item: int | Packed, member: object) -> Child:
        if isinstance(item, int):
            return self._registers[item] if item >= 0 else Node(self._registers[-1 - item])
        below = member if isinstance(member, dict) else _NO_VALUE
        if not item or item[0] is not None:
            return Node(None, False, None, self._children(item, below))
        _, register, is_value, marker, cell, children = item
        return Node(
            self._optional(register),
            is_value,
            self._optional(marker),
            self._children(children, below),
            None if cell is None else decode_cell(cell, self._keys),
        )

    def _optional(self, index: int | None) -> Register | None:
        return None if index is None else self._registers[index]
