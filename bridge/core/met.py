"""What a patch meets in a section: the second rule of the stamps (design section 4)."""

from __future__ import annotations

from bridge.core.section import (
    STAMP,
    VERSION,
    Children,
    JsonObject,
    JsonValue,
    Node,
    Register,
    Section,
    registers_below,
)


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
        if isinstance(child, tuple):
            if child[VERSION] <= seen and child[STAMP] > newest:
                newest = child[STAMP]
        elif child is not None:
            newest = max(newest, _newest_at(child, new, seen))
    return newest


def _newest_at(node: Node, new: JsonValue, seen: int) -> int:
    own = [register for register in (node.register, node.marker) if register is not None]
    if isinstance(new, dict):
        return max(_newest(own, seen), _newest_met(node.children, new, seen))
    return _newest([*own, *registers_below(node.children)], seen)


def _newest(registers: list[Register], seen: int) -> int:
    return max((r[STAMP] for r in registers if r[VERSION] <= seen), default=0)
