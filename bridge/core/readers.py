"""Who reads the retained states of which devices: the list `sealing.readers`.

An entry is a device pattern and a group: a name that has a key as a device has one. The first entry
that matches a twin counts; where none does, the reader is the device itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bridge.core.pattern import DevicePattern, PatternError, parse_device_pattern
from bridge.core.topics import IDENTIFIER_RULE, TwinKey, is_device_id

WORDS: Final = ("devices", "group")
"""What an entry has, both."""

READERS_MAX: Final = 200
"""Entries: each twin that is sealed anew is held against them, and each of them against those
before it."""


class ReadersError(ValueError):
    """An entry of the list is not allowed.

    Attributes:
        reason: Why.
        index: Which, from 0; None where it is about the list.
        word: The word of the entry that it is about; empty where it is about the whole entry.
        is_unknown: There is no such word.
    """

    def __init__(
        self, reason: str, index: int | None = None, word: str = "", *, is_unknown: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index
        self.word = word
        self.is_unknown = is_unknown


class ReaderRule(NamedTuple):
    """An entry of the list: a device pattern as it was written, and the group."""

    devices: str
    group: str


class Readers:
    """The list, read. Immutable.

    Attributes:
        table: Its entries, in their order.
        groups: All groups that are named.
    """

    __slots__ = ("_patterns", "groups", "table")

    def __init__(self, rules: Sequence[tuple[DevicePattern, ReaderRule]] = ()) -> None:
        self.table: Final = tuple(rule for _, rule in rules)
        self.groups: Final = frozenset(rule.group for rule in self.table)
        self._patterns = tuple((pattern, rule.group) for pattern, rule in rules)

    @classmethod
    def parse(cls, entries: Sequence[Mapping[str, str]]) -> Readers:
        """Read a list.

        Raises:
            ReadersError: An entry is malformed, or can never be the first that matches.
        """
        if len(entries) > READERS_MAX:
            raise ReadersError(f"there are more than {READERS_MAX} entries")
        rules: list[tuple[DevicePattern, ReaderRule]] = []
        for index, entry in enumerate(entries):
            pattern, rule = _read(index, entry)
            for before, other in rules:
                if before.contains(pattern):
                    raise ReadersError(
                        f"it never counts: {other.devices!r} stands before it and matches the same "
                        "devices",
                        index,
                        "devices",
                    )
            rules.append((pattern, rule))
        return cls(rules)

    def __eq__(self, other: object) -> bool:
        return self.table == other.table if isinstance(other, Readers) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.table)

    def __repr__(self) -> str:
        return f"Readers({self.table!r})"

    def group_of(self, key: TwinKey) -> str | None:
        """Return the group that reads a twin's state; None where the device itself does."""
        return next((group for pattern, group in self._patterns if pattern.matches(key)), None)


def _read(index: int, entry: Mapping[str, str]) -> tuple[DevicePattern, ReaderRule]:
    for word in entry:
        if word not in WORDS:
            raise ReadersError(
                f"{word!r} cannot be set: there are {' and '.join(WORDS)}",
                index,
                word,
                is_unknown=True,
            )
    for word in WORDS:
        if word not in entry:
            raise ReadersError(f"it has no {word}", index)
    rule = ReaderRule(entry["devices"], entry["group"])
    try:
        pattern = parse_device_pattern(rule.devices)
    except PatternError as error:
        raise ReadersError(str(error), index, "devices") from error
    if not is_device_id(rule.group):
        raise ReadersError(f"{rule.group!r} cannot have a key: {IDENTIFIER_RULE}", index, "group")
    return pattern, rule


NO_READERS: Final = Readers()
"""The list without entries."""
