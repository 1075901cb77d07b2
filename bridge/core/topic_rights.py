"""One line of a broker's access control list, and what a pattern of twins is in topic filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from bridge.core.paths import Parts
from bridge.core.pattern import DevicePattern, common_text, is_literal, level_matches

ANY: Final = "+"
"""A level of a topic filter, of whatever name."""

Kind: TypeAlias = Literal["read", "write", "deny"]

ANY_TEXT: Final[Parts] = ("", "")


class TopicRight(NamedTuple):
    """One line of an access control list.

    Attributes:
        kind: Whether the topics may be read (subscribed to), written (published to), or neither.
        levels: The filter below the prefix.
    """

    kind: Kind
    levels: tuple[str, ...]


class Broker(NamedTuple):
    """What a broker can do with rights.

    Attributes:
        checks_deliveries: It holds each message that it hands out against the reader's rights, and
            not only each subscription against them.
        denies: It knows denials.
    """

    checks_deliveries: bool = True
    denies: bool = True


MOSQUITTO: Final = Broker()

EMQX: Final = Broker(checks_deliveries=False)

AMQTT: Final = Broker(checks_deliveries=False, denies=False)


def without_denials(rights: Iterable[TopicRight]) -> Iterator[TopicRight]:
    """Yield what is allowed, for a broker that can deny nothing.

    What may be read is left out where some of it is denied, and what may be written where all of
    it is: the rest the bridge refuses.
    """
    rights = list(rights)
    denied = [right.levels for right in rights if right.kind == "deny"]
    for right in rights:
        closes = _filters_overlap if right.kind == "read" else _filter_covers
        if right.kind != "deny" and not any(closes(levels, right.levels) for levels in denied):
            yield right


def _filters_overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(one) == len(other) and all(
        ANY in levels or levels[0] == levels[1] for levels in zip(one, other, strict=True)
    )


def _filter_covers(wider: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(wider) == len(other) and all(
        level in (ANY, name) for level, name in zip(wider, other, strict=True)
    )


def is_exact(device: DevicePattern) -> bool:
    """Tell whether topic filters can say which twins a pattern means."""
    levels = (device.device, *(() if device.name is None else (device.name,)))
    return all(is_literal(level) or level == ANY_TEXT for level in levels)


def twin_topics(
    kind: Kind, device: DevicePattern, verb: str, name: str = ""
) -> Iterator[TopicRight]:
    """Yield rights on a topic of each of a pattern's twins; `name` is its last level, if any."""
    for levels in twin_levels(device):
        yield TopicRight(kind, (*levels, verb, name) if name else (*levels, verb))


def twin_levels(device: DevicePattern) -> list[tuple[str, ...]]:
    """Return the filters for a pattern's twins; where it is not exact, they match more."""
    first = _filter_level(device.device)
    if device.name is not None:
        return [(first, _filter_level(device.name))]
    return [(first,), (first, ANY)]


def _filter_level(level: Parts) -> str:
    return level[0] if is_literal(level) else ANY


def covers(wider: DevicePattern, device: DevicePattern) -> bool:
    """Tell whether a pattern surely matches every twin that another, exact one does."""
    if not _level_covers(wider.device, device.device):
        return False
    if wider.name is None:
        return True
    return device.name is not None and _level_covers(wider.name, device.name)


def _level_covers(wider: Parts, level: Parts) -> bool:
    if wider in (level, ANY_TEXT):
        return True
    return is_literal(level) and level_matches(wider, level[0])


def overlap(one: DevicePattern, other: DevicePattern) -> bool:
    """Tell whether some twin matches both."""
    if common_text(one.device, other.device) is None:
        return False
    if one.name is None or other.name is None:
        return True
    return common_text(one.name, other.name) is not None
