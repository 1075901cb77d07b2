"""What is known of every field of a twin: who last changed it, when, and at which version.

The tree mirrors the section; where that has a value, this has an object whose keys begin with `$`,
which no field's name may.
"""

from __future__ import annotations

from bridge.core.section import (
    CHANGED_BY,
    STAMP,
    VERSION,
    WRITER,
    Child,
    JsonObject,
    JsonValue,
    Node,
    Register,
    Section,
)


def describe(section: Section) -> JsonObject:
    """Return the section's tree with, for each field, its stamp, writer and version.

    `$writer` is missing where it is `$changed_by` too: it differs where somebody has since written
    the same value again.
    """
    return {name: _describe(section.nodes[name], shown) for name, shown in section.value.items()}


def _describe(child: Child, shown: JsonValue) -> JsonValue:
    if isinstance(child, tuple):
        return _register(child)
    if isinstance(shown, dict):
        return _object(child, shown)
    return {} if child.register is None else _register(child.register)


def _object(node: Node, shown: JsonObject) -> JsonObject:
    return {name: _describe(node.children[name], inner) for name, inner in shown.items()}


def _register(register: Register) -> JsonObject:
    description: JsonObject = {
        "$stamp": register[STAMP],
        "$version": register[VERSION],
        "$changed_by": register[CHANGED_BY],
    }
    if register[WRITER] != register[CHANGED_BY]:
        description["$writer"] = register[WRITER]
    return description
