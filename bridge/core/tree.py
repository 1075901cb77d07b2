"""Merging a patch into a section (design section 4, "Trees").

A patch is a JSON merge patch (RFC 7396) whose every leaf carries the same key. The outcome of any
set of patches depends on their keys only, never on the order in which they came:

- a value or a removal at a path shadows every older leaf below it;
- a newer leaf below it brings the object back, and hides the value;
- an object is there while a live leaf is below it or it was itself set to `{}`.

Registers that something newer shadows stay, without their value, as tombstones: so what was
hidden can be named to a reader who still has it.
"""

from __future__ import annotations

from typing import TypeAlias

from bridge.core.section import (
    STAMP,
    VERSION,
    Child,
    Children,
    JsonObject,
    JsonValue,
    Key,
    Node,
    Path,
    Register,
    Section,
    registers_below,
    same,
)

Step: TypeAlias = "tuple[JsonValue, JsonValue]"
"""What changed at one name: the member of the patch forward, and that of the patch back."""


class Merge:
    """One update on its way through one section, and what it changed.

    Attributes:
        forward: Merge patch from what was visible to what is now; empty if nothing changed.
        backward: Merge patch back again.
        took_effect: At least one leaf was not older than what it met.
    """

    __slots__ = (
        "_arrival",
        "_key",
        "_register",
        "_section",
        "_unchanged",
        "backward",
        "forward",
        "took_effect",
    )

    def __init__(self, section: Section, key: Key, version: int, arrival: int) -> None:
        """Prepare; `version` is the twin's present one, `arrival` the time in µs."""
        self._section = section
        self._key = key
        self._arrival = arrival
        # What a register becomes where something visible changes, and where nothing does.
        self._register: Register = (*key, version + 1, key[1])
        self._unchanged: Register = (*key, version, key[1])
        self.forward: JsonObject = {}
        self.backward: JsonObject = {}
        self.took_effect = False

    def apply(self, patch: JsonObject, *, full: bool = False) -> None:
        """Merge the patch; with `full`, it is preceded by a removal of the whole section."""
        section = self._section
        if section.root is not None and section.root > self._key:
            return
        self.took_effect = full or not patch
        if not full:
            self.forward, self.backward = self._merge(section.nodes, section.value, patch, ())
            return
        before = copy_object(section.value)
        section.root = self._unchanged
        self._bury(())
        unnamed = self._remove_unnamed(section.nodes, section.value, patch)
        self._merge(section.nodes, section.value, unnamed, ())
        self._merge(section.nodes, section.value, patch, ())
        self.forward, self.backward = difference(before, section.value)

    def preview(self, patch: JsonObject, *, full: bool = False) -> JsonObject:
        """Return what would be visible after `apply`, which changes nothing yet."""
        section = Section()
        section.root = self._section.root
        section.value = copy_object(self._section.value)
        section.nodes = _copy_nodes(self._section.nodes)
        Merge(section, self._key, self._unchanged[VERSION], self._arrival).apply(patch, full=full)
        return section.value

    def _merge(
        self, nodes: Children, value: JsonObject, patch: JsonObject, path: Path
    ) -> tuple[JsonObject, JsonObject]:
        """Merge the members of one object; returns the patches forward and back."""
        key, register = self._key, self._register
        forward: JsonObject = {}
        backward: JsonObject = {}
        for name, new in patch.items():
            node = nodes.get(name)
            kind = type(new)
            if kind is dict or new is None or isinstance(node, Node):
                step = self._merge_member(nodes, value, name, new, (*path, name))
                if step is not None:
                    forward[name], backward[name] = step
            elif node is None:
                nodes[name] = register
                value[name] = forward[name] = new
                backward[name] = None
                self.took_effect = True
            elif node < key:
                old = value[name]
                if type(old) is kind and (same(old, new) if kind is list else old == new):
                    nodes[name] = (*key, node[4], node[5])
                else:
                    nodes[name] = register
                    value[name] = forward[name] = new
                    backward[name] = old
                self.took_effect = True
        return forward, backward

    def _merge_member(
        self, nodes: Children, value: JsonObject, name: str, new: JsonValue, path: Path
    ) -> Step | None:
        """Merge one member that is, or meets, more than a plain value.

        Returns:
            What changed at `name`, forward and back, or None if nothing visible did.
        """
        child = nodes.get(name)
        register = child.register if isinstance(child, Node) else child
        if register is not None and register > self._key:
            return None
        node = child if isinstance(child, Node) else Node(child, is_value=child is not None)
        nodes[name] = node
        if isinstance(new, dict):
            return self._merge_object(node, value, name, new, path)
        self.took_effect = True
        below = value.get(name)
        if isinstance(below, dict):
            step = self._set_over_object(node, value, below, name, new, path)
        else:
            step = self._set(node, value, name, new, path)
        if node.is_value and not node.children and node.register is not None:
            nodes[name] = node.register
        return step

    def _set(
        self, node: Node, value: JsonObject, name: str, new: JsonValue, path: Path
    ) -> Step | None:
        """Set a value, or remove (`new` is None), where no object is visible."""
        old = value.get(name)
        if node.is_value and node.register is not None and new is not None and same(old, new):
            node.register = (*self._key, node.register[4], node.register[5])
            return None
        # Nothing below is visible, but a removal there may be newer, and hides a value.
        newer_below = not node.is_value and self._sweep(node.children, {}, path)
        self._drop_older_marker(node)
        node.is_value = new is not None and not newer_below
        if node.is_value:
            value[name] = new
            self._section.tombstones.pop(path, None)
        else:
            value.pop(name, None)
            self._bury(path)
        changed = node.is_value or old is not None
        node.register = self._register if changed else self._unchanged
        return (value.get(name), old) if changed else None

    def _set_over_object(
        self,
        node: Node,
        value: JsonObject,
        below: JsonObject,
        name: str,
        new: JsonValue,
        path: Path,
    ) -> Step | None:
        """Set a value, or remove, where an object is visible: what is newer of it stays."""
        before = copy_object(below)
        newer_below = self._sweep(node.children, below, path)
        self._drop_older_marker(node)
        if below or node.marker is not None:
            self._bury(path)
            forward, backward = difference(before, below)
            node.register = self._register if forward else self._unchanged
            return (forward, backward) if forward else None
        node.register = self._register
        node.is_value = new is not None and not newer_below
        if node.is_value:
            value[name] = new
            self._section.tombstones.pop(path, None)
            return new, before
        del value[name]
        self._bury(path)
        return None, before

    def _merge_object(
        self, node: Node, value: JsonObject, name: str, patch: JsonObject, path: Path
    ) -> Step | None:
        """Merge an object into a node whose register is older; `{}` sets the marker."""
        hidden = value.pop(name) if node.is_value else None
        if node.is_value:
            self._hide(node, path)
        below = value.get(name)
        was_there = isinstance(below, dict)
        if not isinstance(below, dict):
            below = {}
        forward: JsonObject = {}
        backward: JsonObject = {}
        if patch:
            forward, backward = self._merge(node.children, below, patch, path)
        else:
            self._mark(node, visible_already=was_there)
        if below or node.marker is not None:
            value[name] = below
            if was_there:
                return (forward, backward) if forward else None
            return forward, hidden
        if was_there:
            del value[name]
            return None, backward
        return (None, hidden) if hidden is not None else None

    def _mark(self, node: Node, *, visible_already: bool) -> None:
        if node.marker is not None and node.marker > self._key:
            return
        self.took_effect = True
        if visible_already:
            last = node.marker or self._unchanged
            node.marker = (*self._key, last[4], last[5])
        else:
            node.marker = self._register

    def _sweep(self, nodes: Children, value: JsonObject, path: Path) -> bool:
        """Hide every older value below, and drop older markers; tells if anything is newer."""
        any_newer = False
        for name, child in list(nodes.items()):
            node = Node(child, is_value=True) if isinstance(child, tuple) else child
            newer = node.register is not None and node.register > self._key
            if node.is_value and not newer:
                nodes[name] = node
                del value[name]
                self._hide(node, (*path, name))
            elif not node.is_value:
                newer = self._sweep_object(node, value, name, (*path, name)) or newer
            any_newer = any_newer or newer
        return any_newer

    def _sweep_object(self, node: Node, value: JsonObject, name: str, path: Path) -> bool:
        below = value.get(name)
        any_newer = self._sweep(node.children, below if isinstance(below, dict) else {}, path)
        if node.register is None and node.marker is not None and node.marker < self._key:
            # What shadows the marker shadows everything that its key would as a removal.
            node.register = node.marker
            self._hide(node, path)
        self._drop_older_marker(node)
        if below == {} and node.marker is None:
            del value[name]
        return any_newer or node.marker is not None

    def _remove_unnamed(self, nodes: Children, value: JsonObject, patch: JsonObject) -> JsonObject:
        """Return a patch that removes what is visible and not in `patch`."""
        removals: JsonObject = {}
        for name, old in value.items():
            new = patch.get(name)
            node = nodes[name]
            if name not in patch:
                removals[name] = None
            elif isinstance(new, dict) and isinstance(old, dict) and isinstance(node, Node):
                self._drop_older_marker(node)
                removals[name] = self._remove_unnamed(node.children, old, new)
        # An empty object would be set as a marker.
        return {name: removal for name, removal in removals.items() if removal != {}}

    def _drop_older_marker(self, node: Node) -> None:
        if node.marker is not None and node.marker < self._key:
            node.marker = None

    def _hide(self, node: Node, path: Path) -> None:
        """Keep the register of something that is no longer visible, as a tombstone."""
        if node.register is not None:
            stamp, writer, order, seq = node.register[:4]
            node.register = (stamp, writer, order, seq, self._register[4], self._register[5])
        node.is_value = False
        self._bury(path)

    def _bury(self, path: Path) -> None:
        """Enter a tombstone as the newest."""
        tombstones = self._section.tombstones
        tombstones.pop(path, None)
        tombstones[path] = self._arrival


def copy_object(value: JsonObject) -> JsonObject:
    """Copy an object with the objects in it; arrays are never changed in place, and shared."""
    return {
        name: copy_object(member) if isinstance(member, dict) else member
        for name, member in value.items()
    }


def _copy_nodes(nodes: Children) -> Children:
    return {
        name: Node(child.register, child.is_value, child.marker, _copy_nodes(child.children))
        if isinstance(child, Node)
        else child
        for name, child in nodes.items()
    }


def difference(before: JsonObject, after: JsonObject) -> tuple[JsonObject, JsonObject]:
    """Return the merge patches from `before` to `after` and back; sharing no object."""
    forward: JsonObject = {}
    backward: JsonObject = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            step_forward, step_backward = difference(old, new)
            if step_forward:
                forward[name], backward[name] = step_forward, step_backward
        elif not same(old, new):
            forward[name] = copy_object(new) if isinstance(new, dict) else new
            backward[name] = copy_object(old) if isinstance(old, dict) else old
    return forward, backward


def newest_stamp_met(section: Section, patch: JsonObject, seen: int, *, full: bool) -> int:
    """Return the largest stamp that the patch meets, of registers last changed up to `seen`.

    Met are the registers at its paths, those above them, and for values and removals those below.

    Returns:
        A time in µs; 0 if it meets none.
    """
    newest = 0
    if section.root is not None and section.root[VERSION] <= seen:
        newest = section.root[STAMP]
    if full:
        return max(newest, _newest(list(registers_below(section.nodes)), seen))
    return max(newest, _newest_met(section.nodes, patch, seen))


def _newest_met(nodes: Children, patch: JsonObject, seen: int) -> int:
    newest = 0
    for name, new in patch.items():
        child = nodes.get(name)
        if child is None:
            continue
        newest = max(newest, _newest(_registers_at(child), seen))
        if isinstance(child, Node):
            if isinstance(new, dict):
                newest = max(newest, _newest_met(child.children, new, seen))
            else:
                newest = max(newest, _newest(list(registers_below(child.children)), seen))
    return newest


def _registers_at(child: Child) -> list[Register]:
    if isinstance(child, tuple):
        return [child]
    return [register for register in (child.register, child.marker) if register is not None]


def _newest(registers: list[Register], seen: int) -> int:
    return max((r[STAMP] for r in registers if r[VERSION] <= seen), default=0)
