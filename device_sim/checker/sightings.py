"""What one subscriber has seen of the retained topics, checked as it arrives."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from bridge.device import JsonObject
from device_sim.checker.topics import TwinTopic
from device_sim.checker.violation import Invariant, Violation
from device_sim.payload import decode

CONTENTS_MAX: Final = 200_000
"""States, and deltas, that are kept to be compared with the store's history; the oldest go
first. It bounds the memory of a long watch: an hour of a fleet that changes 50 times a second."""

Seen = tuple[str, int]
"""A twin and a version of it."""


@dataclass(slots=True)
class Sightings:
    """States and deltas of all twins, as one subscriber saw them.

    Attributes:
        states: By twin and version, what was published; the newest `CONTENTS_MAX`.
        deltas: The same of deltas.
        newest: The newest version of each twin, also where its state was cleared since.
        last_delta: What was last published on a twin's `delta`; None where it was cleared.
        violations: What must not happen.
        seen: How many states arrived.
        repeats: How many of them were the newest version again.
        stale: How many older ones a broker had retained for a new subscription: its memory, and
            for the bridge to repair.
    """

    states: OrderedDict[Seen, JsonObject] = field(default_factory=OrderedDict)
    deltas: OrderedDict[Seen, JsonObject] = field(default_factory=OrderedDict)
    newest: dict[str, int] = field(default_factory=dict)
    last_delta: dict[str, JsonObject | None] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    seen: int = 0
    repeats: int = 0
    stale: int = 0

    def take(self, place: TwinTopic, payload: bytes, *, retained: bool) -> None:
        """Take a message on `state` or `delta`.

        Args:
            place: Its topic.
            payload: Its payload; empty clears the topic.
            retained: It came flagged as retained, because of a new subscription.
        """
        document = decode(payload) if payload else None
        if document is None and payload:
            self._violated(Invariant.PUBLISHED_WAS_STORED, place, f"not a document: {payload!r}")
        elif place.verb == "state":
            self._take_state(place, document, retained=retained)
        else:
            self._take_delta(place, document, retained=retained)

    def _take_state(self, place: TwinTopic, state: JsonObject | None, *, retained: bool) -> None:
        if state is None:
            # Versions go on after a deletion: what was the newest stays the mark.
            self.newest.setdefault(place.twin, 0)
            return
        self.seen += 1
        version = state.get("version")
        if not isinstance(version, int):
            self._violated(Invariant.PUBLISHED_WAS_STORED, place, f"no version: {state}")
            return
        newest = self.newest.get(place.twin, 0)
        if version < newest:
            if retained:
                self.stale += 1
            else:
                self._violated(
                    Invariant.STATE_NEVER_GOES_BACK,
                    place,
                    f"version {version} came after version {newest}",
                )
            return
        self.repeats += version == newest
        self.newest[place.twin] = version
        self._keep(self.states, place, version, state)

    def _take_delta(self, place: TwinTopic, delta: JsonObject | None, *, retained: bool) -> None:
        before = self.last_delta.get(place.twin)
        self.last_delta[place.twin] = delta
        version = None if delta is None else delta.get("version")
        if delta is None:
            return
        if not isinstance(version, int):
            self._violated(Invariant.DELTA_IS_EXACT, place, f"no version: {delta}")
            return
        known = None if before is None else before.get("version")
        if isinstance(known, int) and version < known:
            if not retained:
                self._violated(
                    Invariant.STATE_NEVER_GOES_BACK,
                    place,
                    f"the delta of version {version} came after that of version {known}",
                )
            return
        self._keep(self.deltas, place, version, delta)

    def _keep(
        self,
        kept: OrderedDict[Seen, JsonObject],
        place: TwinTopic,
        version: int,
        document: JsonObject,
    ) -> None:
        before = kept.setdefault((place.twin, version), document)
        if before is not document and before != document:
            self._violated(
                Invariant.ONE_CONTENT_A_VERSION,
                place,
                f"version {version} was published as {before} and as {document}",
            )
        if len(kept) > CONTENTS_MAX:
            kept.popitem(last=False)

    def _violated(self, invariant: Invariant, place: TwinTopic, detail: str) -> None:
        self.violations.append(Violation(invariant, place.twin, place.verb, detail))
