"""Patterns for twins and for paths: what they match, and which of two is more specific.

Both are made of *levels*. A level is the tuple of the texts between its wildcards: `("mode",)` is
the key `mode`, `("temp-", "")` is `temp-*`, `("", "")` is `*`. A wildcard is any run of characters,
also none. `DEEP`, at the end of a path pattern, is one or more levels of whatever name.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from bridge.core.limits import Limits
from bridge.core.paths import Parts, PathError, parse_pattern
from bridge.core.topics import IDENTIFIER_RULE, TwinKey, is_device_id, is_name
from bridge.core.update import SectionName

WILDCARD: Final = "*"

DEEP: Final[Parts] = ("", "", "")
"""The level `**`."""

Rank: TypeAlias = "tuple[int, int]"
"""How specific a level is; the larger one wins."""

_RANK_OF_NONE: Final[Rank] = (0, 0)

_SECTIONS: Final[dict[Parts, SectionName]] = {
    ("reported",): "reported",
    ("desired",): "desired",
}


class PatternError(ValueError):
    """A pattern is malformed, or can never match anything; the message says why."""


class DevicePattern(NamedTuple):
    """Which twins.

    Attributes:
        device: For the device id.
        name: For the twin's name; None for every twin of the device.
    """

    device: Parts
    name: Parts | None

    def matches(self, key: TwinKey) -> bool:
        """Tell whether a twin is meant."""
        if not level_matches(self.device, key.device):
            return False
        return self.name is None or (key.name != "" and level_matches(self.name, key.name))

    def contains(self, other: DevicePattern) -> bool:
        """Tell whether every twin that another pattern means is meant; False may be too little."""
        if not level_contains(self.device, other.device):
            return False
        return self.name is None or (
            other.name is not None and level_contains(self.name, other.name)
        )

    @property
    def rank(self) -> tuple[Rank, Rank]:
        """How specific it is: the device first, then the name."""
        return level_rank(self.device), _RANK_OF_NONE if self.name is None else level_rank(
            self.name
        )


class PathPattern(NamedTuple):
    """Which paths of which section.

    Attributes:
        section: The section.
        levels: One for each key below it; the last one may be `DEEP`.
    """

    section: SectionName
    levels: tuple[Parts, ...]

    @property
    def is_deep(self) -> bool:
        """It matches whatever lies below, too."""
        return self.levels[-1] == DEEP

    @property
    def rank(self) -> tuple[Rank, ...]:
        """How specific it is, level by level."""
        return tuple(map(level_rank, self.levels))


def is_literal(level: Parts) -> bool:
    """Tell whether a level has no wildcard."""
    return len(level) == 1


def level_matches(level: Parts, text: str) -> bool:
    """Tell whether a level, other than `DEEP`, matches a key, a device id or a name.

    Takes time in proportion to the text for each part, whatever the text: devices choose it.
    """
    if len(level) == 1:
        return text == level[0]
    first, *inner, last = level
    position = len(first)
    end = len(text) - len(last)
    if position > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in inner:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def level_contains(one: Parts, other: Parts) -> bool:
    """Tell whether a level matches all that another one matches.

    False may be too little where it has more than one wildcard.
    """
    if is_literal(other):
        return level_matches(one, other[0])
    around = len(one) == 2 and other[0].startswith(one[0]) and other[-1].endswith(one[-1])
    return one == other or around


def level_rank(level: Parts) -> Rank:
    """Return how specific a level is: a key, then most characters of it, then `*`, then `**`."""
    if len(level) == 1:
        return 3, 0
    if level == DEEP:
        return _RANK_OF_NONE
    characters = sum(map(len, level))
    return (2, characters) if characters else (1, 0)


def common_text(one: Parts, other: Parts) -> str | None:
    """Return a text that two levels both match, None if there is none.

    Whether it is short enough to be a key or an id is not looked at.
    """
    if is_literal(one):
        return one[0] if level_matches(other, one[0]) else None
    if is_literal(other):
        return other[0] if level_matches(one, other[0]) else None
    start = max(one[0], other[0], key=len)
    end = max(one[-1], other[-1], key=len)
    if not (start.startswith(one[0]) and start.startswith(other[0])):
        return None
    if not (end.endswith(one[-1]) and end.endswith(other[-1])):
        return None
    # Each wildcard can take in all that the other pattern asks for in the middle. A letter in
    # front, where anything may stand there, keeps the text from starting with a reserved sign.
    return (start or "x") + "".join(one[1:-1] + other[1:-1]) + end


def parse_device_pattern(text: str) -> DevicePattern:
    """Parse `device` or `device/name`, both with wildcards.

    Raises:
        PatternError: It can never match a twin.
    """
    device, slash, name = text.partition("/")
    parsed = DevicePattern(_split(device), _split(name) if slash else None)
    for what, parts in (("device id", parsed.device), ("twin's name", parsed.name)):
        if parts is not None:
            _check_identifier(what, parts)
    if parsed.name is not None and is_literal(parsed.name) and not is_name(name):
        raise PatternError(f"no twin can be named {name!r}: that word is part of the topics")
    return parsed


def _split(text: str) -> Parts:
    return tuple(text.split(WILDCARD))


def _check_identifier(what: str, parts: Parts) -> None:
    if "" in parts[1:-1]:
        raise PatternError("one * matches any run of characters already: write one")
    shortest = "".join(parts)
    if not is_literal(parts) and (not shortest or (not parts[0] and shortest[0] == ".")):
        shortest = "x" + shortest
    if not is_device_id(shortest):
        raise PatternError(f"no {what} matches it: it is {IDENTIFIER_RULE}")


def parse_path_pattern(text: str, limits: Limits) -> PathPattern:
    """Parse `section.level.level…`.

    Raises:
        PatternError: It is malformed, or can never match a path of a twin.
    """
    try:
        first, *levels = parse_pattern(text, WILDCARD)
    except PathError as error:
        raise PatternError(str(error)) from error
    section = _SECTIONS.get(first)
    if section is None:
        raise PatternError("a path begins with reported. or desired.")
    if not levels:
        raise PatternError(f"nothing stands behind {section}: {section}.** is all of it")
    if len(levels) > limits.depth:
        raise PatternError(
            f"it has {len(levels)} levels, and limits.depth lets a patch have {limits.depth}"
        )
    for number, level in enumerate(levels, start=1):
        _check_level(level, limits, is_last=number == len(levels))
    return PathPattern(section, tuple(levels))


def _check_level(level: Parts, limits: Limits, *, is_last: bool) -> None:
    if "" in level[1:-1]:
        if level != DEEP:
            raise PatternError("** stands alone between dots; within a key one * is enough")
        if not is_last:
            raise PatternError("** can only be the last level; * is one level of whatever name")
    if level[0].startswith("$"):
        raise PatternError("no key starts with $: they are reserved")
    try:
        size_bytes = sum(len(part.encode()) for part in level)
    except UnicodeEncodeError:
        raise PatternError("it holds a half of a surrogate pair, which no key does") from None
    if size_bytes > limits.key_bytes:
        raise PatternError(
            f"a key of it has at least {size_bytes} bytes, and limits.key_bytes is "
            f"{limits.key_bytes}"
        )
