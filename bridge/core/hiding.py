"""What an update hides: older values below its paths, and the writes that a cell forgets for it."""

from __future__ import annotations

from typing import TypeAlias

from bridge.core.contest import Contest
from bridge.core.policy import PolicyName
from bridge.core.section import (
    CHANGED_BY,
    HIDDEN,
    VERSION,
    Children,
    JsonObject,
    JsonValue,
    Node,
    Path,
    Register,
    Section,
    newest_of,
    same,
)

Step: TypeAlias = "tuple[JsonValue, JsonValue]"
"""What changed at one name: the member of the patch forward, and that of the patch back."""


class Hiding(Contest):
    """Hides what is older than one update, and shows what only that had hidden."""

    __slots__ = ("_arrival", "_section")

    _section: Section
    _arrival: int

    def _show(
        self,
        node: Node,
        value: JsonObject,
        name: str,
        shown: JsonValue,
        path: Path,
        policy: PolicyName | None,
    ) -> Step | None:
        """Show what a cell has come to by something older than the newest write at its path."""
        register, old = node.register, value.get(name)
        if register is None:
            return None
        if not node.is_value:
            newest_below = newest_of(node.children, node.marker)
            if shown is None or (newest_below is not None and newest_below > register):
                return None
        elif shown is not None and same(old, shown):
            return None
        node.is_value = shown is not None
        if node.is_value:
            value[name] = shown
            self._section.tombstones.pop(path, None)
        else:
            del value[name]
            self._bury(path)
        node.register = (*register[:4], *self._register[4:])
        had_seen_it = self._seen is not None and register[VERSION] <= self._seen
        is_another_s = register[CHANGED_BY] not in (HIDDEN, self._key[1])
        if policy is not None and is_another_s and not had_seen_it:
            self._win(path, policy, shown, old, register)
        return shown, old

    def _sweep(self, nodes: Children, value: JsonObject, path: Path) -> Register | None:
        """Hide every older value below, and drop older markers; returns the newest that is not."""
        newest: Register | None = None
        for name, child in list(nodes.items()):
            node = Node(child, is_value=True) if isinstance(child, tuple) else child
            here = (*path, name)
            newer = node.register
            if newer is not None and newer < self._key:
                if node.is_value:
                    nodes[name] = node
                    self._replaced(newer, value.pop(name), None, here, "latest")
                    self._hide(node, here)
                else:
                    # What hides it is what counts from now on.
                    node.register = (*newer[:CHANGED_BY], HIDDEN)
                newer = None
            self._drop_from_cell(node, value, name, here)
            if not node.is_value:
                newer = _later(newer, self._sweep_object(node, value, name, here))
            newest = _later(newest, newer)
        return newest

    def _sweep_object(
        self, node: Node, value: JsonObject, name: str, path: Path
    ) -> Register | None:
        shown = value.get(name)
        below: JsonObject = shown if isinstance(shown, dict) else {}
        newest = self._sweep(node.children, below, path)
        if node.marker is not None and node.marker < self._key:
            # What shadows the marker shadows everything that its key would as a removal.
            node.register = _later(node.register, (*node.marker[:CHANGED_BY], HIDDEN))
            node.marker = None
            self._bury(path)
        if below:
            value[name] = below
        elif isinstance(shown, dict) and node.marker is None:
            del value[name]
            if node.register is not None:
                self._hide(node, path)
        return _later(newest, node.marker)

    def _drop_from_cell(self, node: Node, value: JsonObject, name: str, path: Path) -> None:
        if node.cell is not None and node.cell.drop_older(self._key):
            self._show(node, value, name, node.cell.value(), path, None)

    def _at_path(self, register: Register | None, *, changed: bool) -> Register:
        """Return what the register of a path becomes where this update is the newest there."""
        if changed:
            return self._register
        if register is None:
            return self._unchanged
        return (*self._key, register[VERSION], register[CHANGED_BY])

    def _drop_older_marker(self, node: Node) -> None:
        if node.marker is not None and node.marker < self._key:
            node.marker = None

    def _hide(self, node: Node, path: Path) -> None:
        """Keep the register of something that is no longer visible, as a tombstone."""
        if node.register is not None:
            stamp, writer, order, seq = node.register[:4]
            node.register = (stamp, writer, order, seq, self._register[VERSION], HIDDEN)
        node.is_value = False
        self._bury(path)

    def _bury(self, path: Path) -> None:
        """Enter a tombstone as the newest."""
        self._section.bury(path, self._arrival)


def _later(one: Register | None, other: Register | None) -> Register | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
