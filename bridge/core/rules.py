"""Finding the rule that holds for a path of a twin, key by key.

The rules of a table are sorted, the most specific first. Where a walk down a twin stands is a tuple
of *positions*: the rules that may still match, and how many levels of each have matched. All walks
that stand at the same positions share one `Rules`, which remembers where each key leads. So a step
is one look-up, however many rules there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.paths import Parts
from bridge.core.pattern import (
    DEEP,
    DevicePattern,
    PathPattern,
    Rank,
    is_literal,
    level_matches,
)

PolicyName: TypeAlias = Literal[
    "latest", "device", "app", "sum", "max", "min", "union", "first", "refuse"
]

POLICIES: Final[tuple[PolicyName, ...]] = get_args(PolicyName)
"""Every policy, the default first."""

DEFAULT_POLICY: Final[PolicyName] = "latest"

STEPS_REMEMBERED: Final = 4096
"""Steps that a table remembers, those of all twins together: devices choose the names of keys. A
fleet has some hundred names; a name has at most `limits.key_bytes`."""


class Rule(NamedTuple):
    """One rule, as it was written."""

    device: str
    path: str
    policy: PolicyName


class CompiledRule(NamedTuple):
    """A rule with its patterns.

    Attributes:
        rule: As it was written.
        device: Its twins.
        path: Its paths.
    """

    rule: Rule
    device: DevicePattern
    path: PathPattern

    @property
    def rank(self) -> tuple[Rank, ...]:
        """How specific it is: the twin first, then the path, level by level."""
        return (*self.device.rank, *self.path.rank)


Positions: TypeAlias = "tuple[tuple[int, int], ...]"
"""Rules by their index, the most specific first, and how many levels of each have matched."""


class _Unknown(Enum):
    """Not looked for yet; None is an answer."""

    UNKNOWN = 0


_UNKNOWN: Final = _Unknown.UNKNOWN


class Rules:
    """The rules that may hold at one path of one section of a twin, and below it.

    Attributes:
        policy: What holds for a value or a removal at exactly this path.
    """

    __slots__ = ("_by_glob", "_next", "_otherwise", "_positions", "_table", "policy")

    def __init__(self, table: RuleTable, positions: Positions) -> None:
        self._table = table
        self._positions = positions
        self.policy: Final = table.policy_at(positions)
        self._next: dict[str, Rules | _Unknown | None] = {}
        self._otherwise: Rules | _Unknown | None = _UNKNOWN
        self._by_glob = False
        self.forget()

    def step(self, name: str) -> Rules | None:
        """Return the rules below a key; None where nothing but `latest` holds from there on."""
        found = self._next.get(name, self._otherwise)
        return self._find(name) if found is _UNKNOWN else found

    def forget(self) -> None:
        """Forget the steps that were taken."""
        levels = self._table.levels_after(self._positions)
        # Keys that a rule names are told apart, all others lead to the same rules; unless a rule
        # has a part of a key, and then each key is looked at once and remembered.
        self._next = {level[0]: _UNKNOWN for level in levels if is_literal(level)}
        self._otherwise = _UNKNOWN
        self._by_glob = any(not is_literal(level) and any(level) for level in levels)

    def _find(self, name: str) -> Rules | None:
        may_remember = self._table.make_room(self, self._positions)
        below = self._table.rules_at(self._table.positions_after(self._positions, name))
        if not may_remember:
            return below
        if self._by_glob or name in self._next:
            self._next[name] = below
        else:
            self._otherwise = below
        return below


class RuleTable:
    """All rules, the most specific first, and what is remembered of walks through them.

    Args:
        rules: In any order.
    """

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.rules: Final = sorted(rules, key=lambda rule: rule.rank, reverse=True)
        self._known: dict[Positions, Rules] = {}
        self._steps = 0

    def rules_at(self, positions: Positions) -> Rules | None:
        """Return the rules at these positions; None where nothing but `latest` can hold."""
        positions = self._without_losers(positions)
        if all(self.rules[index].rule.policy == DEFAULT_POLICY for index, _ in positions):
            return None
        rules = self._known.get(positions)
        if rules is None:
            rules = self._known[positions] = Rules(self, positions)
        return rules

    def make_room(self, rules: Rules, positions: Positions) -> bool:
        """Make room for remembering one more step from `rules`.

        Returns:
            False if it must not be remembered: while somebody held on to these rules they were
            forgotten here, and others have taken their place.
        """
        if self._steps >= STEPS_REMEMBERED:
            self._forget_steps()
        self._steps += 1
        return self._known.setdefault(positions, rules) is rules

    def _forget_steps(self) -> None:
        """Forget all steps, and the rules that only steps lead to: where walks begin stays."""
        for rules in self._known.values():
            rules.forget()
        self._known = {at: rules for at, rules in self._known.items() if at[0][1] == 0}
        self._steps = 0

    def forget(self) -> None:
        """Forget all walks."""
        self._forget_steps()
        self._known.clear()

    def positions_after(self, positions: Positions, name: str) -> Positions:
        """Return the positions one key further down."""
        after = []
        for index, matched in positions:
            path = self.rules[index].path
            if matched == len(path.levels):
                if path.is_deep:
                    after.append((index, matched))
            elif path.levels[matched] == DEEP or level_matches(path.levels[matched], name):
                after.append((index, matched + 1))
        return tuple(after)

    def _without_losers(self, positions: Positions) -> Positions:
        """Drop the rules that a more specific one beats here and everywhere below."""
        kept = []
        is_covered_below = False
        for index, matched in positions:
            path = self.rules[index].path
            ends_here = matched == len(path.levels)
            if is_covered_below and not ends_here:
                continue
            kept.append((index, matched))
            if path.is_deep and ends_here:
                break
            is_covered_below |= path.levels[matched:] == (DEEP,)
        return tuple(kept)

    def policy_at(self, positions: Positions) -> PolicyName:
        """Return the policy of the most specific rule that ends here."""
        for index, matched in positions:
            if matched == len(self.rules[index].path.levels):
                return self.rules[index].rule.policy
        return DEFAULT_POLICY

    def levels_after(self, positions: Positions) -> list[Parts]:
        """Return the levels that the next key is held against."""
        paths = ((self.rules[index].path.levels, matched) for index, matched in positions)
        return [levels[matched] for levels, matched in paths if matched < len(levels)]
