"""Reading `permissions.yaml`, so that whatever is wrong with it is said with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml

from bridge.config_settings import nearest
from bridge.config_yaml import Entry, entries, is_empty, parse_file
from bridge.core.limits import Limits
from bridge.core.permission_rules import PermissionRule, PermissionsError
from bridge.core.permissions import DEFAULTS, Default, Named, Permissions
from bridge.errors import ConfigError

_KEYS: Final = ("default", "principals", "groups", "rules")

_SHAPE: Final = "write default:, principals:, groups: and rules:"
_LIST: Final = "write a list of names, such as [anna, display-7]"
_RULES: Final = "write `path pattern: rights` lines below a device pattern below a principal"


def read_permissions(path: Path, limits: Limits) -> Permissions:
    """Read a file of permissions.

    Args:
        path: The file.
        limits: Bounds on paths.

    Raises:
        ConfigError: It cannot be read, or something in it is not allowed.
    """
    root = parse_file(path, hint="see the setting permissions.file")
    parts = {} if root is None else {entry.key: entry for entry in _known_parts(root, path)}
    principals = _names(parts.get("principals"), path)
    groups = _groups(parts.get("groups"), path)
    rules = _rules(parts.get("rules"), path)
    try:
        return Permissions(_default(parts.get("default"), path), principals, groups, rules, limits)
    except PermissionsError as error:
        raise _explained(error, path) from error


def _known_parts(root: yaml.Node, path: Path) -> Sequence[Entry]:
    found = []
    for entry in entries(root, "", path, _SHAPE):
        if entry.key not in _KEYS:
            raise _error(f"{entry.key!r} is not part of permissions", path, entry.line, entry.key)
        if not is_empty(entry.node):
            found.append(entry)
    return found


def _default(entry: Entry | None, path: Path) -> Default:
    if entry is None:
        return DEFAULTS[0]
    text = _text(entry.node, path, f"default is one of {', '.join(DEFAULTS)}")
    for default in DEFAULTS:
        if text == default:
            return default
    raise _error(
        f"default: {text!r} is none of {', '.join(DEFAULTS)}", path, entry.line, text, DEFAULTS
    )


def _names(entry: Entry | None, path: Path) -> list[Named]:
    if entry is None or is_empty(entry.node):
        return []
    if not isinstance(entry.node, yaml.SequenceNode):
        raise _error(f"{entry.name} is not a list", path, entry.line, hint=_LIST)
    return [Named(_text(node, path, _LIST), _line(node)) for node in entry.node.value]


def _groups(entry: Entry | None, path: Path) -> Mapping[Named, Sequence[Named]]:
    if entry is None:
        return {}
    return {
        Named(group.key, group.line): _names(group, path)
        for group in entries(entry.node, entry.name, path, "write `group: [names]` lines")
    }


def _rules(entry: Entry | None, path: Path) -> list[PermissionRule]:
    return [
        PermissionRule(subject.key, device.key, rule.key, _text(rule.node, path, _RULES), rule.line)
        for subject in _members(entry, path)
        for device in _members(subject, path)
        for rule in _members(device, path)
    ]


def _members(entry: Entry | None, path: Path) -> Sequence[Entry]:
    if entry is None or is_empty(entry.node):
        return ()
    return list(entries(entry.node, entry.name, path, _RULES))


def _text(node: yaml.Node, path: Path, hint: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or is_empty(node):
        raise _error("a single word is expected", path, _line(node), hint=hint)
    text: str = node.value
    return text


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _explained(error: PermissionsError, path: Path) -> ConfigError:
    return _error(error.reason, path, error.line, error.unknown, error.known)


def _error(
    reason: str,
    path: Path,
    line: int,
    unknown: str = "",
    known: Sequence[str] = _KEYS,
    *,
    hint: str = "",
) -> ConfigError:
    meant = nearest(unknown, known) if unknown else None
    return ConfigError(
        f"permissions in {path}:{line} are not allowed: {reason}",
        field="permissions.file",
        source=f"{path}:{line}",
        hint=f"did you mean {meant}?" if meant else hint,
    )
