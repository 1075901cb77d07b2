"""What holds of a section whatever came, in whatever order."""

from __future__ import annotations

from typing import Any

from bridge.core.section import Node, Section


def check_section(section: Section) -> None:
    """Fail unless the two parallel trees agree, and the list of tombstones is complete."""
    dead: set[tuple[str, ...]] = {()} if section.root else set()

    def walk(nodes: Any, value: Any, path: tuple[str, ...]) -> None:
        assert set(value) <= set(nodes)
        for name, child in nodes.items():
            here = (*path, name)
            if not isinstance(child, Node):
                assert not isinstance(value[name], dict)
                continue
            assert not child.is_bare
            if child.is_value:
                assert not isinstance(value[name], dict)
                assert child.children or child.cell is not None
                assert child.marker is None
                walk(child.children, {}, here)
                continue
            if child.register is not None:
                dead.add(here)
            below = value.get(name)
            assert (below is not None) == (child.marker is not None or bool(below))
            walk(child.children, {} if below is None else below, here)

    walk(section.nodes, section.value, ())
    assert set(section.tombstones) == dead
    arrivals = list(section.tombstones.values())
    assert arrivals == sorted(arrivals)
