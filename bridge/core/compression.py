"""What goes down to which device compressed, and how: the table `compression`.

A table is device pattern -> `down` -> how. Of the patterns that match a twin the most specific one
counts, and of two that are equally specific the one that stands first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from bridge.core.pattern import DevicePattern, PatternError, parse_device_pattern
from bridge.core.topics import TwinKey

Compression: TypeAlias = Literal["none", "zlib", "zstd", "dictionary"]
"""`dictionary` is zstd with the current dictionary; without one while there is none."""

COMPRESSIONS: Final[tuple[Compression, ...]] = get_args(Compression)

DOWN: Final = "down"
"""The direction that can be set: what comes up says itself how it is compressed."""

RULES_MAX: Final = 1000
"""Patterns in a table: each twin that is new to it is held against all of them."""

TWINS_REMEMBERED: Final = 16_384
"""Twins of which a table remembers what holds for them: a few MiB."""


class CompressionError(ValueError):
    """A line of the table is not allowed.

    Attributes:
        reason: Why.
        keys: The line's device pattern, and what stands below it, as far as it is about them.
        unknown: The word that is not known; empty if that is not what is wrong.
        known: Those that are.
    """

    def __init__(
        self, reason: str, *keys: str, unknown: str = "", known: Sequence[str] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keys = keys
        self.unknown = unknown
        self.known = tuple(known)


class CompressionRule(NamedTuple):
    """A line of the table: a device pattern as it was written, and how."""

    device: str
    how: Compression


class CompressionRules:
    """The table, read.

    Attributes:
        table: Its lines, in their order.
    """

    def __init__(self, rules: Sequence[tuple[DevicePattern, CompressionRule]] = ()) -> None:
        self.table: Final = tuple(rule for _, rule in rules)
        # Sorting keeps the order of those that are equally specific.
        self._rules = sorted(rules, key=lambda rule: rule[0].rank, reverse=True)
        self._twins: dict[TwinKey, Compression] = {}

    @classmethod
    def parse(cls, table: Mapping[str, Mapping[str, str]]) -> CompressionRules:
        """Read a table.

        Raises:
            CompressionError: A pattern is malformed, or a word is not known.
        """
        if len(table) > RULES_MAX:
            raise CompressionError(f"there are more than {RULES_MAX} device patterns")
        return cls([rule for device in table for rule in _read(device, table[device])])

    def __eq__(self, other: object) -> bool:
        return self.table == other.table if isinstance(other, CompressionRules) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.table)

    def __repr__(self) -> str:
        return f"CompressionRules({self.table!r})"

    def of(self, key: TwinKey) -> Compression:
        """Return how what goes down for a twin is compressed."""
        if not self.table:
            return "none"
        found = self._twins.get(key)
        if found is None:
            if len(self._twins) >= TWINS_REMEMBERED:
                self._twins.clear()
            matching = (rule.how for pattern, rule in self._rules if pattern.matches(key))
            found = self._twins[key] = next(matching, "none")
        return found


def _read(device: str, words: Mapping[str, str]) -> list[tuple[DevicePattern, CompressionRule]]:
    try:
        pattern = parse_device_pattern(device)
    except PatternError as error:
        raise CompressionError(str(error), device) from error
    rules = []
    for direction, word in words.items():
        if direction != DOWN:
            raise CompressionError(
                f"{direction!r} cannot be set: there is {DOWN}", device, direction,
                unknown=direction, known=(DOWN,),
            )  # fmt: skip
        how = next((each for each in COMPRESSIONS if each == word), None)
        if how is None:
            raise CompressionError(
                f"{word!r} is none of {', '.join(COMPRESSIONS)}", device, direction,
                unknown=word, known=COMPRESSIONS,
            )  # fmt: skip
        rules.append((pattern, CompressionRule(device, how)))
    return rules


NO_COMPRESSION: Final = CompressionRules()
"""The table without lines."""
