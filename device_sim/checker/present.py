"""Holds what stands at the end against what was sent, and what is retained against the store."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.device import JsonObject
from device_sim.checker.export import StoredTwin
from device_sim.checker.ledger import Ledger, Origin, Update
from device_sim.checker.paths import Path, exact, outstanding, paths_of, touches_any
from device_sim.checker.violation import Invariant, Violation, short
from device_sim.document import MISSING, apply_patch, at_path, leaves


@dataclass(slots=True)
class Standing:
    """What one writer's messages make, were it alone.

    Attributes:
        origin: Who writes what.
        document: The section after everything that counts, in the writer's order.
        last: Path -> the last update that counts and set it.
        doubtful: Paths that messages set of which it is not known whether they arrived.
    """

    origin: Origin
    document: JsonObject = field(default_factory=dict)
    last: dict[Path, Update] = field(default_factory=dict)
    doubtful: set[Path] = field(default_factory=set)


def standing_of(origin: Origin, updates: Iterable[Update], *, broker_kept: bool) -> Standing:
    """Work out what a writer's messages make.

    Args:
        origin: The writer.
        updates: Its messages in its order.
        broker_kept: The broker was never killed, so that what it accepted counts too.
    """
    standing = Standing(origin)
    for update in updates:
        paths = paths_of(update.patch)
        if update.answer is not None and not update.answer.ok:
            continue
        if update.is_acknowledged or (broker_kept and update.is_accepted):
            if update.is_full:
                standing.document.clear()
            apply_patch(standing.document, copy.deepcopy(update.patch))
            standing.last.update(dict.fromkeys(paths, update))
            standing.doubtful.difference_update(paths)
        else:
            standing.doubtful.update(paths)
    return standing


def check_present(
    ledger: Ledger, twins: Mapping[str, StoredTwin], *, broker_kept: bool
) -> Iterator[Violation]:
    """Check that each section is what its writers have made of it."""
    by_section: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    for origin in ledger.origins():
        standing = standing_of(origin, ledger.of(origin), broker_kept=broker_kept)
        by_section[origin.twin, origin.section].append(standing)
    for (twin_id, section), standings in by_section.items():
        twin = twins.get(twin_id)
        if twin is None:
            yield from _check_missing(twin_id, standings)
            continue
        found = twin.section(section)
        for standing in standings:
            others = [other for other in standings if other is not standing]
            yield from _check_standing(standing, others, twin, found)
        if ledger.is_complete:
            yield from _check_nothing_else(twin_id, section, standings, found)


def _check_missing(twin_id: str, standings: Iterable[Standing]) -> Iterator[Violation]:
    for standing in standings:
        for update in standing.last.values():
            invariant = (
                Invariant.ACKNOWLEDGED_IS_KEPT
                if update.is_acknowledged
                else Invariant.LAST_STATE_IS_SENT
            )
            yield Violation(invariant, twin_id, str(update), "the store has no such twin")
            return


def _check_standing(
    standing: Standing, others: list[Standing], twin: StoredTwin, found: JsonObject
) -> Iterator[Violation]:
    """What a writer said last stands, or somebody else has taken its place, or it is accounted."""
    told: set[Update] = set()
    for path, update in standing.last.items():
        wanted, actual = at_path(standing.document, path), at_path(found, path)
        if wanted is MISSING and actual is MISSING:
            continue
        if wanted is not MISSING and actual is not MISSING and exact(wanted) == exact(actual):  # type: ignore[arg-type]
            continue
        if touches_any(path, standing.doubtful) or update in told:
            continue
        told.add(update)
        if not any(touches_any(path, (*other.last, *other.doubtful)) for other in others):
            yield Violation(
                Invariant.LAST_STATE_IS_SENT,
                standing.origin.twin,
                str(update),
                f"{'.'.join(path)} is {actual} and should be {wanted}",
            )
        elif not _is_accounted_for(path, update, twin):
            yield Violation(
                Invariant.CONFLICTS_ARE_KEPT,
                standing.origin.twin,
                str(update),
                f"{'.'.join(path)} is {actual} and not {wanted}, and neither the history nor the "
                "conflict log says who has changed it",
            )


def _is_accounted_for(path: Path, update: Update, twin: StoredTwin) -> bool:
    """Tell whether it is on record that another's write stands where this one should."""
    origin, answer = update.origin, update.answer
    if answer is not None and answer.is_superseded:
        return True
    since = 0 if answer is None or answer.is_duplicate else answer.version
    for change in reversed(twin.history):
        if change.version <= since:
            break
        is_others = change.section == origin.section and change.writer != origin.writer
        if is_others and touches_any(path, paths_of(change.patch)):
            return True
    return any(
        loss.section == origin.section
        and loss.lost_by == origin.writer
        and touches_any(path, [loss.path])
        for loss in twin.losses
    )


def _check_nothing_else(
    twin_id: str, section: str, standings: list[Standing], found: JsonObject
) -> Iterator[Violation]:
    """Whatever stands there, somebody has sent."""
    for path, value in leaves(found):
        if any(touches_any(path, (*each.last, *each.doubtful)) for each in standings):
            continue
        yield Violation(
            Invariant.LAST_STATE_IS_SENT,
            twin_id,
            section,
            f"{'.'.join(path)} is {value}, which nobody has sent",
        )


def check_retained(
    twin_id: str, twin: StoredTwin, state: JsonObject | None, delta: JsonObject | None
) -> Iterator[Violation]:
    """Check that a twin's retained topics are what the store has, and its delta exact."""
    stored_state = twin.state if twin.exists else None
    for verb, found, stored in (("state", state, stored_state), ("delta", delta, twin.delta)):
        if (found is None) != (stored is None) or exact(found) != exact(stored):
            yield Violation(
                Invariant.RETAINED_IS_STORED,
                twin_id,
                verb,
                f"retained is {short(found)}, the store has {short(stored)}",
            )
    expected = outstanding(twin.section("desired"), twin.section("reported"))
    actual = (twin.delta or {}).get("state", {})
    if exact(actual) != exact(expected):
        yield Violation(
            Invariant.DELTA_IS_EXACT,
            twin_id,
            f"delta of version {twin.version}",
            f"it is {short(actual)} and should be {short(expected)}",
        )
