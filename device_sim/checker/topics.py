"""The topics that a checker reads, taken apart."""

from __future__ import annotations

from typing import Final, NamedTuple

VERBS: Final = frozenset({"report", "desire", "reply", "state", "delta", "resync"})
"""Verbs that the checker takes an interest in."""


class TwinTopic(NamedTuple):
    """A topic of a twin.

    Attributes:
        twin: `device`, or `device/name`.
        verb: One of `VERBS`.
        other: Who desires, or who is answered; empty where the topic names nobody.
    """

    twin: str
    verb: str
    other: str

    @property
    def device(self) -> str:
        """The device that the twin belongs to."""
        return self.twin.partition("/")[0]


def parse_topic(prefix: str, topic: str) -> TwinTopic | None:
    """Take a topic apart; None where it is none of a twin's, or none that matters here."""
    if not topic.startswith(prefix + "/"):
        return None
    levels = topic[len(prefix) + 1 :].split("/")
    place = next((index for index, level in enumerate(levels) if index and level in VERBS), 0)
    if place not in (1, 2) or levels[0].startswith("$") or len(levels) > place + 2:
        return None
    other = levels[place + 1] if len(levels) > place + 1 else ""
    return TwinTopic("/".join(levels[:place]), levels[place], other)


def twin_filters(prefix: str, verb: str, *, named: str = "") -> tuple[str, ...]:
    """Return the filters for a verb of all twins, with a name and without.

    Args:
        prefix: Of all topics.
        verb: For example `state`.
        named: `+` for verbs that somebody stands behind.
    """
    tail = f"{verb}/{named}" if named else verb
    return (f"{prefix}/+/{tail}", f"{prefix}/+/+/{tail}")
