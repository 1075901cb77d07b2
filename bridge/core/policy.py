"""The conflict policies, and the paths that they apply to (design section 4).

A table of rules says which policy holds where: device pattern -> path pattern -> policy. Of the
rules that match a path of a twin the most specific one counts: first by the device pattern, then by
the path, level by level.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import combinations
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.limits import Limits
from bridge.core.paths import path_text
from bridge.core.pattern import (
    DEEP,
    DevicePattern,
    PathPattern,
    PatternError,
    Rank,
    common_text,
    is_literal,
    level_matches,
    parse_device_pattern,
    parse_path_pattern,
)
from bridge.core.topics import TwinKey
from bridge.core.update import SectionName

PolicyName: TypeAlias = Literal[
    "latest", "device", "app", "sum", "max", "min", "union", "first", "refuse"
]

POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
"""Every policy, the default first."""

DEFAULT_POLICY: Final[PolicyName] = "latest"

RULES_IN_A_TABLE: Final = 1000
"""Rules: a twin that is new to the table is held against each device pattern, and at load each rule
against those that are as specific as it."""

STEPS_REMEMBERED: Final = 4096
"""Steps from one key to the next that a table remembers, of all twins together: devices choose the
names of keys. A fleet has some hundred names; a key has at most `limits.key_bytes`."""

TWINS_REMEMBERED: Final = 16_384
"""Twins of which a table remembers which rules match: some MiB of ids."""


class Rule(NamedTuple):
    """One rule, as it was written."""

    device: str
    path: str
    policy: PolicyName


class PolicyError(ValueError):
    """A rule is malformed, can never match, names no policy, or ties with another one.

    Attributes:
        device: The device pattern of the rule; empty if the whole table is meant.
        path: Its path pattern; empty if the device pattern is meant.
        policy: The name that is no policy; empty if that is not what is wrong.
        other: The rule that it ties with, or None.
        reason: What is wrong.
    """

    def __init__(
        self,
        reason: str,
        *,
        device: str = "",
        path: str = "",
        policy: str = "",
        other: Rule | None = None,
    ) -> None:
        where = f"rule {path!r} for {device!r}" if path else f"device pattern {device!r}"
        super().__init__(f"{where}: {reason}" if device or path else reason)
        self.reason = reason
        self.device = device
        self.path = path
        self.policy = policy
        self.other = other


class _Compiled(NamedTuple):
    """A rule with its patterns. Sorts by how specific it is."""

    rank: tuple[Rank, ...]
    rule: Rule
    device: DevicePattern
    path: PathPattern


_Position: TypeAlias = "tuple[int, int]"
"""A rule, by its index in the table, and how many of its levels have matched."""


class _Unknown(Enum):
    """Not computed yet."""

    UNKNOWN = 0


_UNKNOWN: Final = _Unknown.UNKNOWN


class Rules:
    """The rules that may hold below one path of one section of a twin.

    Attributes:
        policy: What holds for a value or a removal at exactly this path.
    """

    __slots__ = ("_by_glob", "_next", "_otherwise", "_positions", "_table", "policy")

    def __init__(self, table: Policies, positions: tuple[_Position, ...]) -> None:
        self._table = table
        self._positions = positions
        self.policy: Final = table.policy_at(positions)
        levels = table.levels_after(positions)
        # Keys that a rule names are told apart, all others lead to the same rules; unless a rule
        # has a part of a key, and then each key is looked at once and remembered.
        self._by_glob = any(not is_literal(level) and any(level) for level in levels)
        self._next: dict[str, Rules | _Unknown | None] = {}
        self._otherwise: Rules | _Unknown | None = _UNKNOWN
        self.forget()

    def step(self, name: str) -> Rules | None:
        """Return the rules below a key; None where nothing but `latest` holds from there on."""
        found = self._next.get(name, self._otherwise)
        return self._find(name) if found is _UNKNOWN else found

    def forget(self) -> None:
        """Forget the steps that were taken."""
        levels = self._table.levels_after(self._positions)
        self._next = {level[0]: _UNKNOWN for level in levels if is_literal(level)}
        self._otherwise = _UNKNOWN

    def _find(self, name: str) -> Rules | None:
        known = self._table.remember(self, self._positions)
        below = self._table.rules_at(self._table.positions_after(self._positions, name))
        if not known:
            return below
        if self._by_glob or name in self._next:
            self._next[name] = below
        else:
            self._otherwise = below
        return below


class Policies:
    """A table of rules.

    Attributes:
        table: The rules as they were written, in that order.
    """

    def __init__(self, compiled: list[_Compiled]) -> None:
        self.table: Final = tuple(entry.rule for entry in compiled)
        self._rules = sorted(compiled, key=lambda entry: entry.rank, reverse=True)
        # Those for one device are found by its id; the others are tried one by one.
        self._of_device: dict[str, list[int]] = {}
        self._of_many: list[int] = []
        for index, entry in enumerate(self._rules):
            if is_literal(entry.device.device):
                self._of_device.setdefault(entry.device.device[0], []).append(index)
            else:
                self._of_many.append(index)
        self._twins: dict[TwinKey, dict[SectionName, Rules | None]] = {}
        self._states: dict[tuple[_Position, ...], Rules] = {}
        self._steps = 0

    @classmethod
    def parse(cls, table: Mapping[str, Mapping[str, str]], limits: Limits) -> Policies:
        """Make a table from device pattern -> path pattern -> policy.

        Raises:
            PolicyError: A rule is malformed, can never match, names no policy, or ties with
                another one.
        """
        if sum(map(len, table.values())) > RULES_IN_A_TABLE:
            raise PolicyError(f"a table has at most {RULES_IN_A_TABLE} rules")
        compiled = [
            _compile(device, path, policy, limits)
            for device, paths in table.items()
            for path, policy in paths.items()
        ]
        _refuse_ties(compiled)
        return cls(compiled)

    def __eq__(self, other: object) -> bool:
        return self.table == other.table if isinstance(other, Policies) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.table)

    def rules(self, key: TwinKey, section: SectionName) -> Rules | None:
        """Return the rules for a section of a twin; None where nothing but `latest` holds."""
        if not self._rules:
            return None
        known = self._twins.get(key)
        if known is None:
            known = self._match(key)
        return known[section]

    def _match(self, key: TwinKey) -> dict[SectionName, Rules | None]:
        if len(self._twins) >= TWINS_REMEMBERED:
            self._forget()
        indices = sorted(
            index
            for index in (*self._of_device.get(key.device, ()), *self._of_many)
            if self._rules[index].device.matches(key)
        )
        known: dict[SectionName, Rules | None] = {}
        for section in get_args(SectionName):
            own = (index for index in indices if self._rules[index].path.section == section)
            known[section] = self.rules_at(tuple((index, 0) for index in own))
        self._twins[key] = known
        return known

    def rules_at(self, positions: tuple[_Position, ...]) -> Rules | None:
        """Return the rules that have come so far; None where nothing but `latest` can hold."""
        if all(self._rules[index].rule.policy == DEFAULT_POLICY for index, _ in positions):
            return None
        rules = self._states.get(positions)
        if rules is None:
            rules = self._states[positions] = Rules(self, positions)
        return rules

    def remember(self, rules: Rules, positions: tuple[_Position, ...]) -> bool:
        """Make room for one more step of some rules; False if they must not remember it.

        What somebody holds while it is forgotten may come back, but only once for each position:
        else its steps would never be counted again.
        """
        if self._steps + len(self._states) >= STEPS_REMEMBERED:
            self._forget()
        self._steps += 1
        return self._states.setdefault(positions, rules) is rules

    def _forget(self) -> None:
        for rules in self._states.values():
            rules.forget()
        self._states.clear()
        self._twins.clear()
        self._steps = 0

    def positions_after(self, positions: tuple[_Position, ...], name: str) -> tuple[_Position, ...]:
        """Return where rules stand after one more key; without those that can no longer win."""
        after = []
        for index, matched in positions:
            path = self._rules[index].path
            if matched < len(path.levels):
                level = path.levels[matched]
                if level != DEEP and not level_matches(level, name):
                    continue
                matched += 1
            elif not path.is_deep:
                continue
            after.append((index, matched))
            if matched == len(path.levels) and path.is_deep:
                break  # It holds for all that lies below, and what follows is less specific.
        return tuple(after)

    def policy_at(self, positions: tuple[_Position, ...]) -> PolicyName:
        """Return the policy of the most specific rule that ends here."""
        for index, matched in positions:
            if matched == len(self._rules[index].path.levels):
                return self._rules[index].rule.policy
        return DEFAULT_POLICY

    def levels_after(self, positions: tuple[_Position, ...]) -> list[tuple[str, ...]]:
        """Return the levels that the next key is held against."""
        return [
            levels[matched]
            for levels, matched in ((self._rules[i].path.levels, n) for i, n in positions)
            if matched < len(levels)
        ]


def _compile(device: str, path: str, policy: str, limits: Limits) -> _Compiled:
    try:
        device_pattern = parse_device_pattern(device)
    except PatternError as error:
        raise PolicyError(str(error), device=device) from error
    try:
        path_pattern = parse_path_pattern(path, limits)
    except PatternError as error:
        raise PolicyError(str(error), device=device, path=path) from error
    if policy not in POLICIES:
        raise PolicyError(
            f"{policy!r} is none of {', '.join(POLICIES)}", device=device, path=path, policy=policy
        )
    rule = Rule(device, path, policy)
    return _Compiled((*device_pattern.rank, *path_pattern.rank), rule, device_pattern, path_pattern)


def _refuse_ties(compiled: list[_Compiled]) -> None:
    """Compare the rules that are equally specific and agree in every level without wildcard."""
    alike: dict[tuple[object, ...], list[_Compiled]] = {}
    for entry in compiled:
        levels = (entry.device.device, entry.device.name or DEEP, *entry.path.levels)
        literals = tuple(level if is_literal(level) else None for level in levels)
        alike.setdefault((entry.path.section, entry.rank, literals), []).append(entry)
    for group in alike.values():
        for one, other in combinations(group, 2):
            example = _both_match(one, other)
            if example:
                raise PolicyError(
                    f"it ties with {one.rule.path!r} for {one.rule.device!r}: both match "
                    f"{example}, and neither is more specific",
                    device=other.rule.device,
                    path=other.rule.path,
                    other=one.rule,
                )


def _both_match(one: _Compiled, other: _Compiled) -> str:
    """Return a path of a twin that both rules match, as text; empty if there is none."""
    twin = [common_text(one.device.device, other.device.device)]
    if one.device.name is not None and other.device.name is not None:
        twin.append(common_text(one.device.name, other.device.name))
    keys = [common_text(*pair) for pair in zip(one.path.levels, other.path.levels, strict=True)]
    twin_text = [text for text in twin if text is not None]
    key_text = [text for text in keys if text is not None]
    if len(twin_text) < len(twin) or len(key_text) < len(keys):
        return ""
    return f"{path_text((one.path.section, *key_text))} of {'/'.join(twin_text)}"


NO_POLICIES: Final = Policies([])
"""The table without rules."""
