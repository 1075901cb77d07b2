"""What one sender may do with one twin.

What a rule denies nobody else's rule gives back; of the rest, what a rule allows is allowed. So the
order of the rules does not matter, nor how specific they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from bridge.core.permission_rules import CompiledPermission, PermissionRule, Right
from bridge.core.section import JsonObject, Path
from bridge.core.update import SectionName

Otherwise: TypeAlias = Literal["own", "development", "deny"]
"""What holds where no rule does: a device's own twin, an open bridge, or nothing is allowed."""


class Decision(NamedTuple):
    """Whether something is allowed, and why.

    Attributes:
        allowed: The answer.
        rule: The rule that decides; None where none does.
        otherwise: What decides where no rule does.
    """

    allowed: bool
    rule: PermissionRule | None
    otherwise: Otherwise


class Grant:
    """What may be done, by one right, with one section of a twin.

    Args:
        rules: Those that match, in the order in which they are named as the reason.
        otherwise: What holds where none does.

    Attributes:
        is_whole: Everything in the section is allowed.
        is_some: Something in it may be.
    """

    __slots__ = ("_allowing", "_denying", "_otherwise", "is_some", "is_whole")

    def __init__(self, rules: Iterable[CompiledPermission], otherwise: Otherwise) -> None:
        rules = tuple(rules)
        self._denying: Final = tuple(rule for rule in rules if rule.denies)
        self._allowing: Final = tuple(rule for rule in rules if not rule.denies)
        self._otherwise: Final = otherwise
        is_open = otherwise != "deny"
        self.is_whole: Final = not self._denying and (
            is_open or any(rule.is_whole for rule in self._allowing)
        )
        self.is_some: Final = (is_open or bool(self._allowing)) and not any(
            rule.is_whole for rule in self._denying
        )

    def decide(self, path: Path) -> Decision:
        """Say whether a path is allowed, and why."""
        for rule in self._denying:
            if rule.covers(path):
                return Decision(False, rule.rule, self._otherwise)
        for rule in self._allowing:
            if rule.covers(path):
                return Decision(True, rule.rule, self._otherwise)
        return Decision(self._otherwise != "deny", None, self._otherwise)

    def allows(self, path: Path) -> bool:
        """Tell whether a path is allowed; as `decide` does, without a reason."""
        if self.is_whole:
            return True
        for rule in self._denying:
            if rule.covers(path):
                return False
        if self._otherwise != "deny":
            return True
        for rule in self._allowing:  # noqa: SIM110 - a generator takes as long as all the rest
            if rule.covers(path):
                return True
        return False

    def allows_below(self, path: Path) -> bool:
        """Tell whether a path is allowed with everything that may lie below it."""
        return self.allows(path) and not any(rule.reaches_below(path) for rule in self._denying)


class Access:
    """What one sender may do with one twin."""

    __slots__ = ("_grants",)

    def __init__(self, grants: dict[tuple[SectionName, Right], Grant]) -> None:
        self._grants: Final = grants

    def grant(self, section: SectionName, right: Right) -> Grant:
        """Return what may be done with one section."""
        return self._grants[section, right]

    @property
    def reads_all(self) -> bool:
        """Both sections may be read as they are."""
        return self._has_all("read")

    @property
    def reads_some(self) -> bool:
        """Something may be readable."""
        return any(grant.is_some for (_, right), grant in self._grants.items() if right == "read")

    @property
    def deletes(self) -> bool:
        """The twin may be deleted: that is to remove everything from both sections."""
        return self._has_all("write")

    def _has_all(self, right: Right) -> bool:
        return all(grant.is_whole for (_, which), grant in self._grants.items() if which == right)


def forbidden_path(
    grant: Grant, value: JsonObject, patch: JsonObject, *, full: bool
) -> Path | None:
    """Return a path that a patch touches and that may not be written; None if there is none.

    Args:
        grant: What the writer may write in the section.
        value: What is visible in it.
        patch: The patch.
        full: It is the whole section, and removes what it does not name.
    """
    if grant.is_whole:
        return None
    return next((at for at in touched(value, patch, full=full) if not grant.allows(at)), None)


def touched(value: JsonObject, patch: JsonObject, *, full: bool) -> Iterator[Path]:
    """Yield every path that a patch sets, removes or takes the place of.

    A value or a removal touches its own path and the fields that are there below it; an object in
    the place of a value touches that value too; an empty object touches its own path.
    """
    if full:
        yield from _leaves(value, ())
        value = {}
    yield from _touched(value, patch, ())


def _touched(value: JsonObject, patch: JsonObject, above: Path) -> Iterator[Path]:
    for name, new in patch.items():
        path = (*above, name)
        old = value.get(name)
        if isinstance(new, dict) and new:
            if not isinstance(old, dict):
                if name in value:
                    yield path
                old = {}
            yield from _touched(old, new, path)
            continue
        yield path
        if isinstance(old, dict) and not isinstance(new, dict):
            yield from _leaves(old, path)


def _leaves(value: JsonObject, above: Path) -> Iterator[Path]:
    for name, member in value.items():
        path = (*above, name)
        if isinstance(member, dict) and member:
            yield from _leaves(member, path)
        else:
            yield path


def readable(grant: Grant, value: JsonObject, tree: JsonObject | None = None) -> JsonObject:
    """Return what may be read of a section; objects in which nothing is left are left out.

    Args:
        grant: What the reader may read in it.
        value: What is visible in it.
        tree: What to return of; an object with the same keys, such as what is known of each field.
            The section itself where it is not given.
    """
    if tree is None:
        tree = value
    return tree if grant.is_whole else _readable(grant, value, tree, ())


def _readable(grant: Grant, value: JsonObject, tree: JsonObject, above: Path) -> JsonObject:
    shown: JsonObject = {}
    for name, member in value.items():
        path = (*above, name)
        of_tree = tree[name]
        if isinstance(member, dict) and member and isinstance(of_tree, dict):
            if inner := _readable(grant, member, of_tree, path):
                shown[name] = inner
        elif grant.allows(path):
            shown[name] = of_tree
    return shown
