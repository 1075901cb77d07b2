"""What the bridge says unasked: questions to a device, and events (design section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from bridge.core.section import JsonObject, JsonValue
from bridge.core.update import Boot

ResyncReason: TypeAlias = Literal["gap", "session_lost", "store_restored"]
"""Why a device is asked for a full report."""


def resync(
    request_id: str,
    reason: ResyncReason,
    boot: Boot | None = None,
    missing: Iterable[Sequence[int]] = (),
) -> JsonObject:
    """Return the question for a full report; boot and what is missing of it where that is known."""
    question: JsonObject = {"$": {"id": request_id}, "reason": reason}
    runs: list[JsonValue] = [[*run] for run in missing]
    if boot is not None:
        question |= {"boot": boot, "missing": runs}
    return question


class Event(NamedTuple):
    """What one version brought.

    Attributes:
        version: The version.
        at: The bridge's time of it, in µs.
        section: reported, desired, twin for a deletion, or presence where nothing else changed.
        writer: Who made it.
        patch: Merge patch from before to after; None for a deletion.
        previous: Merge patch back; for a deletion both sections as they were.
        online: The device's presence, where it changed with this version; else None.
        conflicts: The losers of concurrent writes.
    """

    version: int
    at: int
    section: str
    writer: str
    patch: JsonObject | None
    previous: JsonObject
    online: bool | None = None
    conflicts: Sequence[JsonObject] = ()

    def document(self) -> JsonObject:
        """Return it as it is published."""
        document: JsonObject = {
            "version": self.version,
            "at": self.at,
            "section": self.section,
            "writer": self.writer,
            "patch": self.patch,
            "previous": self.previous,
        }
        if self.online is not None:
            document["online"] = self.online
        conflicts: list[JsonValue] = [*self.conflicts]
        document["conflicts"] = conflicts
        return document
