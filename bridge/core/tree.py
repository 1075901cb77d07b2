"""Merging a patch into a section (design section 4, "Trees").

A patch is a JSON merge patch (RFC 7396) whose every leaf carries the same key. The outcome of any
set of patches depends on their keys only, never on the order in which they came:

- a value or a removal at a path shadows every older leaf below it;
- a newer leaf below it brings the object back, and hides the value;
- an object is there while a live leaf is below it or it was itself set to `{}`.

Registers that something newer shadows stay, without their value, as tombstones: so what was
hidden can be named to a reader who still has it.

A path with a policy of its own shows what the policy makes of all its writes
(`bridge.core.cell`); what shadows and is shadowed there is decided by the newest of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bridge.core.cell import CELL_POLICIES, Cell
from bridge.core.contest import EVERYTHING
from bridge.core.difference import copy_object, difference, value_at
from bridge.core.hiding import Step
from bridge.core.policy import PolicyName, Rules
from bridge.core.section import (
    VERSION,
    Children,
    JsonObject,
    JsonValue,
    Key,
    Node,
    Path,
    Register,
    Section,
    copy_nodes,
    same,
)
from bridge.core.setting import Setting, reaches

NOTHING_KEPT: Final[Mapping[Path, Register]] = MappingProxyType({})

_NOTHING: Final[JsonObject] = {}
_NO_PATHS: Final[frozenset[Path]] = frozenset()
"""Shared by the many updates that never need their own."""


class Merge(Setting):
    """One update on its way through one section, and what it changed.

    Args:
        section: Changed by `apply`.
        key: Of the update.
        version: The twin's present one.
        arrival: The time of arrival, in µs.
        seen: The version that the writer had seen, not above the present one; None if it does not
            say.
        device: The twin's device, which is a class of writers of its own.
        kept: Path whose policy is `first` -> what stands there that the writer had not seen.

    Attributes:
        forward: Merge patch from what was visible to what is now; empty if nothing changed.
        backward: Merge patch back again.
        conflicts: Concurrent writes that do not stand, this update's or others'.
    """

    __slots__ = ("_above_kept", "_before", "_kept", "backward", "forward")

    def __init__(
        self,
        section: Section,
        key: Key,
        version: int,
        arrival: int,
        *,
        seen: int | None = None,
        device: str = "",
        kept: Mapping[Path, Register] = NOTHING_KEPT,
    ) -> None:
        self._section = section
        self._key = key
        self._register = (*key, version + 1, key[1])
        self._unchanged = (*key, version, key[1])
        self._arrival = arrival
        self._seen = seen
        self._seen_or_all = EVERYTHING if seen is None else seen
        self._device = device
        self._kept = kept
        self._full = self._unnamed = False
        self._before = _NOTHING
        self._above_kept = _NO_PATHS
        self.forward: JsonObject = {}
        self.backward: JsonObject = {}
        self.took_effect = False
        self.conflicts = []

    def apply(self, patch: JsonObject, *, full: bool = False) -> None:
        """Merge the patch; with `full`, it is preceded by a removal of the whole section."""
        section = self._section
        root = section.root
        if root is not None and root > self._key:
            if patch:
                self._shadowed(root, section.value or None, patch, (), "latest")
            return
        self.took_effect = full or not patch
        was_empty = not section.value
        if full:
            self._apply_full(patch)
        else:
            wanted = self._without_kept(patch, ()) if self._kept else patch
            self.forward, self.backward = self._merge(
                section.nodes, section.value, wanted, (), section.rules
            )
        if root is not None and was_empty and self.forward:
            self._replaced(root, None, self.forward, (), "latest")

    def _apply_full(self, patch: JsonObject) -> None:
        section = self._section
        self._before = before = copy_object(section.value)
        self._full = self._unnamed = True
        unnamed = self._remove_unnamed(section.nodes, section.value, patch, ())
        self._merge(section.nodes, section.value, unnamed, (), section.rules)
        self._unnamed = False
        named = self._without_kept(patch, ()) if self._kept else patch
        self._merge(section.nodes, section.value, named, (), section.rules)
        self._drop_contributions(section.nodes, section.value, ())
        self.forward, self.backward = difference(before, section.value)
        section.root = self._at_path(section.root, changed=bool(self.forward))
        self._bury(())

    def preview(self, patch: JsonObject, *, full: bool) -> Section:
        """Return what the section would be after `apply`; it changes nothing yet."""
        section = Section(self._section.rules)
        section.root = self._section.root
        section.value = copy_object(self._section.value)
        section.nodes = copy_nodes(self._section.nodes)
        merge = Merge(
            section,
            self._key,
            self._unchanged[VERSION],
            self._arrival,
            seen=self._seen,
            device=self._device,
            kept=self._kept,
        )
        merge.apply(patch, full=full)
        return section

    def _merge(
        self, nodes: Children, value: JsonObject, patch: JsonObject, path: Path, rules: Rules | None
    ) -> tuple[JsonObject, JsonObject]:
        """Merge the members of one object; returns the patches forward and back."""
        key, register = self._key, self._register
        seen, writer = self._seen_or_all, key[1]
        forward: JsonObject = {}
        backward: JsonObject = {}
        below: Rules | None = None
        took_effect = False
        for name, new in patch.items():
            node = nodes.get(name)
            kind = type(new)
            if rules is not None:
                below = rules.step(name)
            if kind is dict or new is None or below is not None or isinstance(node, Node):
                step = self._merge_member(nodes, value, name, new, (*path, name), below)
                if step is not None:
                    forward[name], backward[name] = step
            elif node is None:
                nodes[name] = register
                value[name] = forward[name] = new
                backward[name] = None
                took_effect = True
            elif node < key:
                old = value[name]
                if type(old) is kind and (same(old, new) if kind is list else old == new):
                    nodes[name] = (*key, node[4], node[5])
                else:
                    if node[4] > seen and node[5] != writer:
                        self._replaced(node, old, new, (*path, name), "latest")
                    nodes[name] = register
                    value[name] = forward[name] = new
                    backward[name] = old
                took_effect = True
            elif node[1] != writer:
                self._shadowed(node, value[name], new, (*path, name), "latest")
        if took_effect:
            self.took_effect = True
        return forward, backward

    def _merge_member(
        self,
        nodes: Children,
        value: JsonObject,
        name: str,
        new: JsonValue,
        path: Path,
        rules: Rules | None,
    ) -> Step | None:
        """Merge one member that is, or meets, more than a plain value.

        Returns:
            What changed at `name`, forward and back, or None if nothing visible did.
        """
        child = nodes.get(name)
        node = child if isinstance(child, Node) else Node(child, is_value=child is not None)
        policy: PolicyName = "latest" if rules is None else rules.policy
        if isinstance(new, dict):
            if node.register is not None and node.register > self._key:
                if not self._unnamed:
                    self._shadowed(node.register, value.get(name), new, path, policy)
                return None
            nodes[name] = node
            return self._merge_object(node, value, name, new, path, rules)
        if policy in CELL_POLICIES:
            nodes[name] = node
            return self._write_cell(node, value, name, new, path, policy)
        if node.register is not None and node.register > self._key:
            self._shadowed(node.register, value.get(name), new, path, policy)
            return None
        node.cell = None
        step = self._set(node, value, name, new, path, policy)
        self.took_effect = self.took_effect or reaches(node, step)
        register = node.register
        is_plain = node.is_value and not node.children
        nodes[name] = register if is_plain and register is not None else node
        return step

    def _merge_object(
        self,
        node: Node,
        value: JsonObject,
        name: str,
        patch: JsonObject,
        path: Path,
        rules: Rules | None,
    ) -> Step | None:
        """Merge an object into a node whose register is older; `{}` sets the marker."""
        register = node.register
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
            forward, backward = self._merge(node.children, below, patch, path, rules)
        else:
            self._mark(node, visible_already=was_there)
        there = bool(below) or node.marker is not None
        came = not was_there and not isinstance(value_at(self._before, path), dict)
        if register is not None and came and (there or hidden is not None):
            policy: PolicyName = "latest" if rules is None else rules.policy
            self._replaced(register, hidden, below if there else None, path, policy)
        if there:
            value[name] = below
            if was_there:
                return (forward, backward) if forward else None
            return forward, hidden
        if was_there:
            del value[name]
            if self._full and not forward:
                # It was empty: nothing below can say that it went. No policy takes it for a write.
                node.register = self._register
                if rules is not None and rules.policy in CELL_POLICIES:
                    node.cell = Cell(rules.policy)
                self._sweep(node.children, {}, path)
                self._bury(path)
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

    def _drop_contributions(self, nodes: Children, value: JsonObject, path: Path) -> None:
        """Take from every cell what is older than this update, a removal of the whole section.

        What the policy `first` keeps is not touched, nor a value that stands above it.
        """
        for name, node in nodes.items():
            if not isinstance(node, Node):
                continue
            here = (*path, name)
            if here in self._kept:
                continue
            if not (node.is_value and self._holds_kept(here)):
                self._drop_from_cell(node, value, name, here)
            if node.children and not node.is_value:
                shown = value.get(name)
                below: JsonObject = shown if isinstance(shown, dict) else {}
                self._drop_contributions(node.children, below, here)
                if below:
                    value[name] = below
                elif isinstance(shown, dict) and node.marker is None:
                    del value[name]

    def _holds_kept(self, path: Path) -> bool:
        if not self._kept:
            return False
        if not self._above_kept:
            self._above_kept = frozenset(
                kept[:length] for kept in self._kept for length in range(len(kept))
            )
        return path in self._kept or path in self._above_kept

    def _without_kept(self, patch: JsonObject, path: Path) -> JsonObject:
        """Return a patch without what the policy `first` keeps from being written."""
        left: JsonObject = {}
        for name, new in patch.items():
            here = (*path, name)
            if isinstance(new, dict) and new:
                inner = self._without_kept(new, here)
                if inner:
                    left[name] = inner
            elif here in self._kept:
                current = value_at(self._section.value, here)
                self._lose(here, "first", current, self._kept[here], new)
            else:
                left[name] = new
        return left

    def _remove_unnamed(
        self, nodes: Children, value: JsonObject, patch: JsonObject, path: Path
    ) -> JsonObject:
        """Return a patch that removes what is visible and not in `patch`."""
        removals: JsonObject = {}
        for name, old in value.items():
            new = patch.get(name)
            node, here = nodes[name], (*path, name)
            if name not in patch:
                removals[name] = None
            elif isinstance(new, dict) and isinstance(old, dict) and isinstance(node, Node):
                if node.register is not None and node.register > self._key:
                    # What it hides is newer too, and so is all that is shown below it.
                    continue
                if not new:
                    self._mark(node, visible_already=True)
                # What holds something that is kept stays as it is.
                elif not self._holds_kept(here):
                    self._drop_older_marker(node)
                removals[name] = self._remove_unnamed(node.children, old, new, here)
        # An empty object would be set as a marker.
        return {name: removal for name, removal in removals.items() if removal != {}}
