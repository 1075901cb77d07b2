"""One rule of the permissions: who may, or may not, do what, with which paths of which twins.

A path pattern stands for the paths that it matches and for everything below them: who may write
`desired.color` may write `desired.color.r`, and what is denied at `desired.color` is denied there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.limits import Limits
from bridge.core.pattern import (
    DEEP,
    DevicePattern,
    PathPattern,
    PatternError,
    Rank,
    level_matches,
    parse_device_pattern,
    parse_path_pattern,
)
from bridge.core.section import Path

Right: TypeAlias = Literal["read", "write"]

RIGHTS: Final[tuple[Right, ...]] = get_args(Right)

DENY: Final = "deny"

SELF: Final = "self"
"""Stands for every device, with its own twins."""

EVERYONE: Final = "everyone"
"""Stands for whoever sends, declared or not."""

_WHOLE: Final = ((DEEP,), (("", ""),))


class PermissionsError(ValueError):
    """Permissions are malformed, or name what is not there.

    Attributes:
        reason: What is wrong.
        line: Where it stands, from 1; 0 where that is not known.
        unknown: The name that is not known; empty if that is not what is wrong.
        known: Those that are.
    """

    def __init__(
        self, reason: str, *, line: int = 0, unknown: str = "", known: Iterable[str] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.unknown = unknown
        self.known = tuple(known)


class PermissionRule(NamedTuple):
    """One rule, as it was written.

    Attributes:
        subject: A principal, a group, `self` or `everyone`.
        device: Pattern for twins.
        path: Pattern for paths, `reported.` or `desired.` in front.
        rights: `read`, `write` or both, with `deny` in front where they are taken.
        line: Where it stands, from 1; 0 where that is not known.
    """

    subject: str
    device: str
    path: str
    rights: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.subject}: {self.device}: {self.path}: {self.rights}"


class CompiledPermission(NamedTuple):
    """A rule with its patterns.

    Attributes:
        rule: As it was written.
        device: Its twins.
        path: Its section and paths.
        rights: What it is about.
        denies: It takes these rights, and does not give them.
    """

    rule: PermissionRule
    device: DevicePattern
    path: PathPattern
    rights: frozenset[Right]
    denies: bool

    @property
    def is_whole(self) -> bool:
        """It is about everything in its section."""
        return self.path.levels in _WHOLE

    @property
    def rank(self) -> tuple[Rank, ...]:
        """How specific it is: the twin first, then the path, level by level."""
        return (*self.device.rank, *self.path.rank)

    def covers(self, path: Path) -> bool:
        """Tell whether a path of its section is one that it matches, or lies below one."""
        levels = self.path.levels
        if len(path) < len(levels):
            return False
        if levels[-1] == DEEP:
            levels = levels[:-1]
        return all(map(level_matches, levels, path))

    def reaches_below(self, path: Path) -> bool:
        """Tell whether something below a path of its section may be one that it matches."""
        levels = self.path.levels
        return len(levels) > len(path) and all(map(level_matches, levels, path))


def compile_rule(rule: PermissionRule, limits: Limits) -> CompiledPermission:
    """Parse the patterns and the rights of a rule.

    Raises:
        PermissionsError: One of them is malformed, or can never match.
    """
    try:
        device = parse_device_pattern(rule.device)
    except PatternError as error:
        raise PermissionsError(f"device {rule.device!r}: {error}", line=rule.line) from error
    try:
        path = parse_path_pattern(rule.path, limits)
    except PatternError as error:
        raise PermissionsError(f"path {rule.path!r}: {error}", line=rule.line) from error
    rights, denies = _parse_rights(rule)
    return CompiledPermission(rule, device, path, rights, denies)


def _parse_rights(rule: PermissionRule) -> tuple[frozenset[Right], bool]:
    words = rule.rights.split()
    denies = words[:1] == [DENY]
    found: list[Right] = []
    for word in words[1:] if denies else words:
        right = next((right for right in RIGHTS if right == word), None)
        if right is None:
            raise PermissionsError(
                f"{word!r} is no right: there are read, write and read write, and deny in front "
                "takes them",
                line=rule.line,
                unknown=word,
                known=(*RIGHTS, DENY),
            )
        found.append(right)
    if not found or len(set(found)) < len(found):
        raise PermissionsError(
            f"{rule.rights!r} is not a right: write read, write or read write, each once, and "
            "deny in front to take them",
            line=rule.line,
        )
    return frozenset(found), denies
