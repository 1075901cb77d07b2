"""The table of policies: which one holds where (design section 4).

A table is device pattern -> path pattern -> policy. Of the rules that match a path of a twin the
most specific one counts: first by the device pattern, then by the path, level by level. Two rules
that are equally specific may not match the same path of the same twin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from bridge.core.limits import Limits
from bridge.core.paths import path_text
from bridge.core.pattern import (
    DevicePattern,
    PatternError,
    common_text,
    is_literal,
    parse_device_pattern,
    parse_path_pattern,
)
from bridge.core.rules import (
    DEFAULT_POLICY,
    POLICIES,
    CompiledRule,
    PolicyName,
    Rule,
    Rules,
    RuleTable,
)
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName

__all__ = [
    "DEFAULT_POLICY",
    "NO_POLICIES",
    "POLICIES",
    "RULES_IN_A_TABLE",
    "TWINS_REMEMBERED",
    "Policies",
    "PolicyError",
    "PolicyName",
    "Rule",
    "Rules",
]

RULES_IN_A_TABLE: Final = 1000
"""Rules: a twin that is new to the table is held against its device patterns, and at load each rule
against those that are as specific."""

TWINS_REMEMBERED: Final = 16_384
"""Twins of which a table remembers which rules match: some MiB, most of it their ids."""


class PolicyError(ValueError):
    """A rule is malformed, can never match, names no policy, or ties with another one.

    Attributes:
        reason: What is wrong with it.
        device: Its device pattern; None if the whole table is meant.
        path: Its path pattern; None if all rules of the device pattern are meant.
        policy: The name that is no policy; None if that is not what is wrong.
        other: The rule that it ties with, or None.
    """

    def __init__(
        self,
        reason: str,
        *,
        device: str | None = None,
        path: str | None = None,
        policy: str | None = None,
        other: Rule | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.device = device
        self.path = path
        self.policy = policy
        self.other = other

    def __str__(self) -> str:
        if self.path is not None:
            return f"{self.path!r} of {self.device!r}: {self.reason}"
        return self.reason if self.device is None else f"{self.device!r}: {self.reason}"


class Policies:
    """A table of rules. Immutable; it only remembers what it was asked.

    Attributes:
        table: The rules as they were written, in that order.
    """

    __slots__ = ("_of_device", "_of_many", "_rules", "_twins", "table")

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self.table: Final = tuple(rule.rule for rule in rules)
        self._rules = RuleTable(rules)
        # Patterns for one device are found by its id, the others are tried one by one. Behind each
        # stand the indices of its rules.
        self._of_device: dict[str, dict[DevicePattern, list[int]]] = {}
        self._of_many: dict[DevicePattern, list[int]] = {}
        for index, rule in enumerate(self._rules.rules):
            patterns = self._of_many
            if is_literal(rule.device.device):
                patterns = self._of_device.setdefault(rule.device.device[0], {})
            patterns.setdefault(rule.device, []).append(index)
        self._twins: dict[TwinKey, tuple[Rules | None, Rules | None]] = {}

    @classmethod
    def parse(cls, table: Mapping[str, Mapping[str, str]], limits: Limits) -> Policies:
        """Make a table from device pattern -> path pattern -> policy.

        Raises:
            PolicyError: A rule is malformed, can never match, names no policy, or ties with
                another one.
        """
        if sum(map(len, table.values())) > RULES_IN_A_TABLE:
            raise PolicyError(f"there are more than {RULES_IN_A_TABLE} rules")
        rules = []
        for device, paths in table.items():
            try:
                pattern = parse_device_pattern(device)
            except PatternError as error:
                raise PolicyError(str(error), device=device) from error
            rules += [_compile(device, pattern, path, paths[path], limits) for path in paths]
        _refuse_ties(rules)
        return cls(rules)

    def __eq__(self, other: object) -> bool:
        return self.table == other.table if isinstance(other, Policies) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.table)

    def __repr__(self) -> str:
        return f"Policies({self.table!r})"

    def rules(self, key: TwinKey, section: SectionName) -> Rules | None:
        """Return the rules for a section of a twin; None where nothing but `latest` holds."""
        if not self.table:
            return None
        found = self._twins.get(key) or self._match(key)
        return found[0] if section == "reported" else found[1]

    def _match(self, key: TwinKey) -> tuple[Rules | None, Rules | None]:
        if len(self._twins) >= TWINS_REMEMBERED:
            self._twins.clear()
            self._rules.forget()
        matching: list[int] = []
        for patterns in (self._of_device.get(key.device, {}), self._of_many):
            for pattern, indices in patterns.items():
                if pattern.matches(key):
                    matching += indices
        matching.sort()
        reported, desired = (
            self._rules.rules_at(
                tuple((i, 0) for i in matching if self._rules.rules[i].path.section == section)
            )
            for section in ("reported", "desired")
        )
        self._twins[key] = reported, desired
        return reported, desired


def _compile(
    device: str, pattern: DevicePattern, path: str, policy: str, limits: Limits
) -> CompiledRule:
    try:
        path_pattern = parse_path_pattern(path, limits)
    except PatternError as error:
        raise PolicyError(str(error), device=device, path=path) from error
    if policy not in POLICIES:
        raise PolicyError(
            f"{policy!r} is no policy: there are {', '.join(POLICIES)}",
            device=device,
            path=path,
            policy=policy,
        )
    return CompiledRule(Rule(device, path, policy), pattern, path_pattern)


def _refuse_ties(rules: Sequence[CompiledRule]) -> None:
    # Only rules that are equally specific can tie; and to compare fewer of them, only those that
    # have the same text wherever they have no wildcard.
    alike: dict[tuple[object, ...], list[CompiledRule]] = {}
    for rule in rules:
        levels = (rule.device.device, *rule.path.levels)
        literals = tuple(level if is_literal(level) else None for level in levels)
        alike.setdefault((rule.path.section, rule.rank, literals), []).append(rule)
    for group in alike.values():
        for one, other in combinations(group, 2):
            example = _matched_by_both(one, other)
            if example:
                raise PolicyError(
                    f"it ties with {one.rule.path!r} of {one.rule.device!r}: both match "
                    f"{example}, and neither is more specific",
                    device=other.rule.device,
                    path=other.rule.path,
                    other=one.rule,
                )


def _matched_by_both(one: CompiledRule, other: CompiledRule) -> str:
    """Return a path of a twin that two equally specific rules match; empty if there is none."""
    levels = [(one.device.device, other.device.device)]
    if one.device.name is not None and other.device.name is not None:
        levels.append((one.device.name, other.device.name))
    of_twin = len(levels)
    levels += zip(one.path.levels, other.path.levels, strict=True)
    texts = []
    for pair in levels:
        text = common_text(*pair)
        if text is None:
            return ""
        texts.append(text)
    return f"{path_text((one.path.section, *texts[of_twin:]))} of {'/'.join(texts[:of_twin])}"


NO_POLICIES: Final = Policies([])
"""The table without rules."""
