"""Setting one path: a plain value or a removal, or a write that the path's policy weighs."""

from __future__ import annotations

from bridge.core.cell import CLASS_POLICIES, class_of, seeded
from bridge.core.difference import copy_object, difference
from bridge.core.hiding import Hiding, Step
from bridge.core.policy import PolicyName
from bridge.core.section import (
    CHANGED_BY,
    VERSION,
    JsonObject,
    JsonValue,
    Node,
    Path,
    newest_of,
    same,
)


class Setting(Hiding):
    """Sets what stands at one path.

    Attributes:
        took_effect: At least one leaf was not older than what it met.
    """

    __slots__ = ("_device", "_full", "_unnamed", "took_effect")

    _device: str
    _full: bool
    _unnamed: bool
    took_effect: bool

    def _set(
        self,
        node: Node,
        value: JsonObject,
        name: str,
        new: JsonValue,
        path: Path,
        policy: PolicyName | None,
    ) -> Step | None:
        """Set a value, or remove (`new` is None), with a key that is the newest at its path.

        `policy` decides what is contested; None: nothing is.
        """
        old = value.get(name)
        register = node.register
        if node.is_value and register is not None and new is not None and same(old, new):
            node.register = (*self._key, register[VERSION], register[CHANGED_BY])
            return None
        below: JsonObject = old if isinstance(old, dict) else {}
        before: JsonValue = copy_object(below) if isinstance(old, dict) else old
        newer_below = None if node.is_value else self._sweep(node.children, below, path)
        self._drop_older_marker(node)
        if below or node.marker is not None:
            return self._stay_object(node, value, name, below, before, new, path, policy)
        node.is_value = new is not None and newer_below is None
        if node.is_value:
            value[name] = new
            self._section.tombstones.pop(path, None)
        else:
            value.pop(name, None)
            self._bury(path)
        after = value.get(name)
        changed = node.is_value or old is not None
        node.register = self._at_path(register, changed=changed)
        if newer_below is not None and new is not None:
            self._shadowed(newer_below, after, new, path, policy)
        elif changed and register is not None and not isinstance(old, dict):
            self._replaced(register, old, after, path, policy)
        return (after, before) if changed else None

    def _stay_object(
        self,
        node: Node,
        value: JsonObject,
        name: str,
        below: JsonObject,
        before: JsonValue,
        new: JsonValue,
        path: Path,
        policy: PolicyName | None,
    ) -> Step | None:
        """Finish a set where what is newer below it keeps an object in its place."""
        value[name] = below
        self._bury(path)
        newest = newest_of(node.children, node.marker)
        if newest is not None:
            self._shadowed(newest, below, new, path, policy)
        if isinstance(before, dict):
            forward, backward = difference(before, below)
            node.register = self._at_path(node.register, changed=bool(forward))
            return (forward, backward) if forward else None
        node.register = self._register
        return copy_object(below), before

    def _write_cell(
        self,
        node: Node,
        value: JsonObject,
        name: str,
        new: JsonValue,
        path: Path,
        policy: PolicyName,
    ) -> Step | None:
        """Write to a path that shows what its policy makes of all the writes to it."""
        key, register = self._key, node.register
        cell = node.cell = seeded(node, value.get(name), policy, self._device, self._section.root)
        if self._full:
            cell.drop_older(key)
        newest = register is None or register < key
        absorbed = False
        if not self._unnamed:
            writer_class = class_of(key[1], self._device)
            absorbed = cell.write(key, new, self._register[VERSION], writer_class, self._seen)
        winner = cell.winner() if policy in CLASS_POLICIES else None
        stands = absorbed if winner is None else winner[:4] == key
        contested = policy if (stands if winner else new is None) else None
        shown = cell.value()
        if newest:
            step = self._set(node, value, name, shown, path, contested)
        else:
            step = self._show(node, value, name, shown, path, contested if winner else None)
        if winner is not None and not stands and not self._unnamed:
            self._shadowed((*winner[:5], winner[1]), winner[5], new, path, policy)
        if step is None:
            cell.settle(key, self._unchanged[VERSION])
        if winner is not None:
            stands = stands and reaches(node, step)
        elif new is None:
            stands = stands or (newest and reaches(node, step))
        self.took_effect = self.took_effect or stands
        return step


def reaches(node: Node, step: Step | None) -> bool:
    """Tell whether a write to a path decides what is there, and nothing newer below it does."""
    if step is not None or node.is_value or node.register is None:
        return True
    newest_below = newest_of(node.children, node.marker)
    return newest_below is None or newest_below < node.register
