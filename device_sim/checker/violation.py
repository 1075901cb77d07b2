"""What must hold, and how a breach of it is told."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

DETAIL_CHARACTERS: Final = 300
"""Of a document that are told: enough to see which it is."""


class Invariant(enum.Enum):
    """What the checker checks; docs/reliability.md says what each means."""

    ACKNOWLEDGED_IS_KEPT = "acknowledged-is-kept"
    STATE_NEVER_GOES_BACK = "state-never-goes-back"
    ONE_CONTENT_A_VERSION = "one-content-a-version"
    LAST_STATE_IS_SENT = "last-state-is-what-was-sent"
    RETAINED_IS_STORED = "retained-is-stored"
    PUBLISHED_WAS_STORED = "published-was-stored"
    DELTA_IS_EXACT = "delta-is-exact"
    CONFLICTS_ARE_KEPT = "conflicts-are-accounted-for"
    ALL_IS_ANSWERED = "all-is-answered"


class Violation(NamedTuple):
    """One breach.

    Attributes:
        invariant: What does not hold.
        twin: The device, with the twin's name behind a slash where it has one.
        message: Which message shows it: an update as `report boot=… seq=…`, or a topic.
        detail: What was found, and what should have been.
    """

    invariant: Invariant
    twin: str
    message: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant.value}: {self.twin}: {self.message}: {self.detail}"


def short(document: object) -> str:
    """Return what was found, as far as a line can hold it."""
    text = str(document)
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[:DETAIL_CHARACTERS]}…"
