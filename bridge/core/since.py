"""What a reader has missed: the patch from one version of a twin to the present one.

Every register says which version last changed what is visible at its path, and a tombstone which
version hid it. So the patch is read off the registers; no history is needed, and what changed
often is sent once.
"""

from __future__ import annotations

from bridge.core.section import VERSION, Children, JsonObject, JsonValue, Node, Section
from bridge.core.twin import Twin


def changes_since(twin: Twin, version: int) -> tuple[JsonObject, JsonObject] | None:
    """Return what changed in `reported` and `desired` after a version, as merge patches.

    Applied (RFC 7396) to the sections at that version they give the present ones. `null` stands at
    the highest path that is no longer there.

    Args:
        twin: It exists.
        version: What the reader has.

    Returns:
        The two patches; None if they cannot be told, because the version is above the present one
        or something has been forgotten that was removed after it: answer with the whole.
    """
    if not twin.horizon <= version <= twin.version:
        return None
    return _section_since(twin.reported, version), _section_since(twin.desired, version)


def _section_since(section: Section, version: int) -> JsonObject:
    return _members_since(section.nodes, section.value, version)


def _members_since(nodes: Children, value: JsonObject, version: int) -> JsonObject:
    patch: JsonObject = {}
    for name, child in nodes.items():
        if isinstance(child, tuple):
            if child[VERSION] > version:
                patch[name] = value[name]
        elif name not in value:
            if _newest_version(child) > version:
                patch[name] = None
        else:
            _add_node(patch, name, child, value[name], version)
    return patch


def _add_node(patch: JsonObject, name: str, node: Node, value: JsonValue, version: int) -> None:
    """Add what a node shows, a value or an object, as far as it is newer."""
    if not isinstance(value, dict):
        if node.register is not None and node.register[VERSION] > version:
            patch[name] = value
        return
    inner = _members_since(node.children, value, version)
    # A reader that has something else there, or nothing, needs an object even if it stays empty.
    came = max((r[VERSION] for r in (node.register, node.marker) if r is not None), default=0)
    if inner or came > version:
        patch[name] = inner


def _newest_version(node: Node) -> int:
    """Return the newest version at which something here was hidden or removed."""
    newest = max((r[VERSION] for r in (node.register, node.marker) if r is not None), default=0)
    for child in node.children.values():
        below = child[VERSION] if isinstance(child, tuple) else _newest_version(child)
        newest = max(newest, below)
    return newest
