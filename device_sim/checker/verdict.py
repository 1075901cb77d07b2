"""The verdict: all that is known of a run, held against each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from bridge.device import JsonObject
from device_sim.checker.export import StoredTwin
from device_sim.checker.ledger import Ledger, Update
from device_sim.checker.past import Evidence, check_past
from device_sim.checker.present import check_present, check_retained
from device_sim.checker.sightings import Sightings
from device_sim.checker.violation import Invariant, Violation

Retained: TypeAlias = "Mapping[str, tuple[JsonObject | None, JsonObject | None]]"
"""Twin -> what is retained on its `state` and on its `delta`."""


@dataclass(slots=True)
class Verdict:
    """What was checked, and what does not hold.

    Attributes:
        violations: Each breach.
        figures: Name -> how many.
    """

    violations: list[Violation] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.violations


def judge(
    ledger: Ledger,
    subscribers: Collection[Sightings],
    *,
    twins: Mapping[str, StoredTwin] | None = None,
    retained: Retained | None = None,
    unsettled: Collection[str] = (),
    broker_kept: bool = False,
) -> Verdict:
    """Decide whether all invariants hold, after everything has come to rest.

    Args:
        ledger: What was sent and answered.
        subscribers: What each subscriber saw.
        twins: What the store holds; None where it cannot be looked into, so that only that is
            checked which a subscriber can know.
        retained: What a new subscriber gets.
        unsettled: Twins that changed while all of this was read: their present is passed over.
        broker_kept: The broker was never killed, so that what it accepted may not be lost.
    """
    verdict = Verdict()
    found = verdict.violations
    for update in ledger.unanswered():
        found.append(
            Violation(Invariant.ALL_IS_ANSWERED, update.origin.twin, str(update), "no reply came")
        )
    for sightings in subscribers:
        found += sightings.violations
    if twins is not None:
        _judge_store(ledger, subscribers, twins, unsettled, broker_kept, found)
    if twins is not None and retained is not None:
        for twin_id in sorted(twins.keys() | retained.keys()):
            if twin_id in unsettled:
                continue
            state, delta = retained.get(twin_id, (None, None))
            twin = twins.get(twin_id) or StoredTwin(0, False, {}, None)
            found += check_retained(twin_id, twin, state, delta)
    verdict.figures = _figures(ledger, subscribers, twins, len(unsettled))
    return verdict


def _judge_store(
    ledger: Ledger,
    subscribers: Collection[Sightings],
    twins: Mapping[str, StoredTwin],
    unsettled: Collection[str],
    broker_kept: bool,
    found: list[Violation],
) -> None:
    states, deltas = _by_twin(subscribers)
    updates: dict[str, list[Update]] = defaultdict(list)
    for update in ledger.updates():
        updates[update.origin.twin].append(update)
    for twin_id, twin in twins.items():
        evidence = Evidence(
            states.get(twin_id, {}), deltas.get(twin_id, {}), updates.get(twin_id, ())
        )
        found += check_past(twin_id, twin, evidence)
    settled = {name: twin for name, twin in twins.items() if name not in unsettled}
    found += (
        each
        for each in check_present(ledger, settled, broker_kept=broker_kept)
        if each.twin not in unsettled
    )


_OfTwins: TypeAlias = "dict[str, dict[int, JsonObject]]"


def _by_twin(subscribers: Collection[Sightings]) -> tuple[_OfTwins, _OfTwins]:
    """Return twin -> version -> what was published, of states and of deltas."""
    states: _OfTwins = defaultdict(dict)
    deltas: _OfTwins = defaultdict(dict)
    for sightings in subscribers:
        for (twin_id, version), document in sightings.states.items():
            states[twin_id][version] = document
        for (twin_id, version), document in sightings.deltas.items():
            deltas[twin_id][version] = document
    return states, deltas


def _figures(
    ledger: Ledger,
    subscribers: Collection[Sightings],
    twins: Mapping[str, StoredTwin] | None,
    unsettled: int,
) -> dict[str, int]:
    updates = list(ledger.updates())
    refused = sum(update.answer is not None and not update.answer.ok for update in updates)
    figures = {
        "updates sent": len(updates),
        "updates acknowledged": sum(update.is_acknowledged for update in updates),
        "updates refused": refused,
        "states seen": sum(each.seen for each in subscribers),
        "states repeated": sum(each.repeats for each in subscribers),
        "stale states served": sum(each.stale for each in subscribers),
        "deltas seen": sum(len(each.deltas) for each in subscribers),
        "twins unsettled": unsettled,
    }
    if twins is not None:
        figures["twins"] = len(twins)
        figures["changes in the history"] = sum(len(twin.history) for twin in twins.values())
        figures["conflicts on record"] = sum(len(twin.losses) for twin in twins.values())
    return figures
