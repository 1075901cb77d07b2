"""Who may read or write what (design section 8).

Principals are named as in topics: writers, requesters, devices. Nothing is allowed but what a rule
allows and none denies, and what is a device's own: it may read its twins, and report. With the
default `development` everything is allowed that no rule denies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.access import Access, Decision, Grant, Otherwise
from bridge.core.limits import Limits
from bridge.core.pattern import DevicePattern, common_text, is_literal
from bridge.core.permission_rules import (
    EVERYONE,
    RIGHTS,
    SELF,
    CompiledPermission,
    PermissionRule,
    PermissionsError,
    Right,
    compile_rule,
)
from bridge.core.section import Path
from bridge.core.topics import IDENTIFIER_RULE, TwinKey, is_name
from bridge.core.update import SECTIONS, SectionName

Default: TypeAlias = Literal["deny", "development"]

DEFAULTS: Final[tuple[Default, ...]] = get_args(Default)
"""What holds where no rule does; the first is the one where none is written."""

PERMISSION_RULES: Final = 1000
"""Rules: a sender that is new to a twin is held against those that concern it."""

PRINCIPALS: Final = 10_000
"""Principals: people, programs and those devices that write to others."""

ACCESSES_REMEMBERED: Final = 16_384
"""Pairs of a sender and a twin of which it is remembered what is allowed: some MiB."""

_OWN: Final[frozenset[tuple[SectionName, Right]]] = frozenset(
    {("reported", "read"), ("reported", "write"), ("desired", "read")}
)
"""What a device may do with its own twins."""


class Named(NamedTuple):
    """A name, and the line that it stands in, from 1; 0 where that is not known."""

    text: str
    line: int = 0


class Permissions:
    """All rules. Immutable; it only remembers what it was asked.

    Args:
        default: What holds where no rule does.
        principals: Who may be named in rules and groups.
        groups: Members by the name of the group.
        rules: In any order.
        limits: Bounds on paths.

    Attributes:
        default: As given.
        principals: Their names, as given.
        groups: Their members, as given.
        rules: With their patterns, the most specific first.

    Raises:
        PermissionsError: A name or a rule is not allowed.
    """

    def __init__(
        self,
        default: Default = "deny",
        principals: Sequence[Named] = (),
        groups: Mapping[Named, Sequence[Named]] | None = None,
        rules: Sequence[PermissionRule] = (),
        limits: Limits | None = None,
    ) -> None:
        groups = groups or {}
        _check_names(principals, groups)
        self.default: Final = default
        self.principals: Final = tuple(name.text for name in principals)
        self.groups: Final = {
            group.text: tuple(member.text for member in members)
            for group, members in groups.items()
        }
        self.rules: Final = self._compile(rules, limits or Limits())
        self._subjects: Final = self._subjects_of_principals()
        # Whoever may publish can invent senders: each is held against the rules for everyone only.
        self._of_subject: dict[str, list[tuple[int, CompiledPermission]]] = {}
        for number, rule in enumerate(self.rules):
            self._of_subject.setdefault(rule.rule.subject, []).append((number, rule))
        self._accesses: dict[tuple[str, TwinKey], Access] = {}

    def _compile(
        self, rules: Sequence[PermissionRule], limits: Limits
    ) -> tuple[CompiledPermission, ...]:
        if len(rules) > PERMISSION_RULES:
            raise PermissionsError(
                f"there are more than {PERMISSION_RULES} rules", line=rules[PERMISSION_RULES].line
            )
        known = (*self.principals, *self.groups, SELF, EVERYONE)
        subjects = frozenset(known)
        for rule in rules:
            if rule.subject not in subjects:
                raise PermissionsError(
                    f"{rule.subject!r} is neither a principal nor a group",
                    line=rule.line,
                    unknown=rule.subject,
                    known=known,
                )
        compiled = [compile_rule(rule, limits) for rule in rules]
        compiled.sort(key=lambda one: one.rule)
        return tuple(sorted(compiled, key=lambda one: one.rank, reverse=True))

    def _subjects_of_principals(self) -> dict[str, frozenset[str]]:
        """Return, for each principal, what the rules for it may be written for."""
        groups_of: dict[str, set[str]] = {name: {name, EVERYONE} for name in self.principals}
        for group, members in self.groups.items():
            for member in members:
                groups_of[member].add(group)
        return {name: frozenset(subjects) for name, subjects in groups_of.items()}

    @property
    def reports_are_free(self) -> bool:
        """No rule keeps any device from reporting whatever it likes."""
        return not any(
            rule.denies and rule.path.section == "reported" and "write" in rule.rights
            for rule in self.rules
        )

    def subjects_of(self, sender: str) -> frozenset[str]:
        """Return what the rules for a sender are written for, `self` excepted."""
        return self._subjects.get(sender, frozenset({EVERYONE}))

    def concerning(self, sender: str) -> tuple[Default, list[PermissionRule]]:
        """Return what decides about a sender, to be compared with that of other permissions."""
        subjects = sorted(self.subjects_of(sender) | {SELF})
        return self.default, [
            rule.rule._replace(line=0)
            for subject in subjects
            for _, rule in self._of_subject.get(subject, ())
        ]

    def access(self, sender: str, key: TwinKey) -> Access:
        """Return what a sender may do with a twin."""
        access = self._accesses.get((sender, key))
        if access is None:
            if len(self._accesses) >= ACCESSES_REMEMBERED:
                self._accesses.clear()
            access = self._accesses[sender, key] = self._access(sender, key)
        return access

    def _access(self, sender: str, key: TwinKey) -> Access:
        subjects = self.subjects_of(sender)
        is_own = sender == key.device
        if is_own:
            subjects |= {SELF}
        numbered = sorted(
            (number, rule)
            for subject in subjects
            for number, rule in self._of_subject.get(subject, ())
            if rule.device.matches(key)
        )
        matching = [rule for _, rule in numbered]
        return Access(
            {
                (section, right): Grant(
                    (
                        rule
                        for rule in matching
                        if rule.path.section == section and right in rule.rights
                    ),
                    self._otherwise(section, right, is_own=is_own),
                )
                for section in SECTIONS
                for right in RIGHTS
            }
        )

    def _otherwise(self, section: SectionName, right: Right, *, is_own: bool) -> Otherwise:
        if is_own and (section, right) in _OWN:
            return "own"
        return self.default

    def explain(
        self, sender: str, key: TwinKey, section: SectionName, path: Path, right: Right
    ) -> Decision:
        """Say whether something is allowed, and by which rule."""
        return self.access(sender, key).grant(section, right).decide(path)

    def reads_somewhere(
        self, sender: str, twins: DevicePattern, section: SectionName, path: Path
    ) -> bool:
        """Tell whether rules let a sender read a path in any of some twins.

        It depends on the rules alone, and not on which twins there are. What is a device's own
        counts where the pattern names that device. True may be too much: a twin that is meant may
        be denied by a rule for some of them.
        """
        if is_literal(twins.device):
            is_named = twins.name is not None and is_literal(twins.name)
            key = TwinKey(twins.device[0], twins.name[0] if twins.name and is_named else "")
            if self.access(sender, key).grant(section, "read").allows_below(path):
                return True
            if is_named:
                return False
        subjects = self.subjects_of(sender)
        reading = [
            rule
            for rule in self.rules
            if rule.rule.subject in subjects
            and rule.path.section == section
            and "read" in rule.rights
        ]
        denied = [
            rule.device
            for rule in reading
            if rule.denies and (rule.covers(path) or rule.reaches_below(path))
        ]
        if any(pattern.contains(twins) for pattern in denied):
            return False
        return self.default != "deny" or any(
            not rule.denies
            and rule.covers(path)
            and common_text(rule.device.device, twins.device) is not None
            and not any(pattern.contains(rule.device) for pattern in denied)
            for rule in reading
        )


def _check_names(principals: Sequence[Named], groups: Mapping[Named, Sequence[Named]]) -> None:
    if len(principals) > PRINCIPALS:
        raise PermissionsError(
            f"there are more than {PRINCIPALS} principals", line=principals[PRINCIPALS].line
        )
    seen: dict[str, int] = {}
    for what, name in [("principal", p) for p in principals] + [("group", g) for g in groups]:
        if not is_name(name.text):
            raise PermissionsError(
                f"{name.text!r} cannot be a {what}: a name is {IDENTIFIER_RULE}, and none of the "
                "words that topics use",
                line=name.line,
            )
        if name.text in (SELF, EVERYONE):
            raise PermissionsError(
                f"{name.text!r} cannot be a {what}: in rules that word has a meaning of its own",
                line=name.line,
            )
        if name.text in seen:
            raise PermissionsError(
                f"{name.text!r} is declared twice, in lines {seen[name.text]} and {name.line}",
                line=name.line,
            )
        seen[name.text] = name.line
    known = frozenset(name.text for name in principals)
    for group, members in groups.items():
        for member in members:
            if member.text not in known:
                raise PermissionsError(
                    f"{member.text!r} in the group {group.text!r} is no principal",
                    line=member.line,
                    unknown=member.text,
                    known=(name.text for name in principals),
                )
