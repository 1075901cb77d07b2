"""Holds what was published and what was acknowledged against the store's history."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from bridge.device import JsonObject
from device_sim.checker.export import Change, StoredTwin
from device_sim.checker.ledger import Update
from device_sim.checker.paths import Path, exact, outstanding, set_by, touch
from device_sim.checker.violation import Invariant, Violation, short
from device_sim.document import MISSING, apply_patch, at_path

NOTHING: Final = exact(None)
"""What stands for a removal in a patch, and for what is not there."""

Sections: TypeAlias = "dict[str, JsonObject]"


class Evidence(NamedTuple):
    """What is to be looked up in the past of one twin.

    Attributes:
        states: Version -> the state that was published with it.
        deltas: Version -> the delta.
        updates: All that are known of the twin; what is looked up are those answered with `ok`.
    """

    states: Mapping[int, JsonObject]
    deltas: Mapping[int, JsonObject]
    updates: Iterable[Update]


def check_past(twin_id: str, twin: StoredTwin, evidence: Evidence) -> Iterator[Violation]:
    """Check one twin from its newest version back to the oldest that the history has."""
    yield from _check_order(twin_id, twin)
    exactly, otherwise = _sorted(evidence.updates, _oldest(twin))
    lost = list(_check_rows(twin, exactly))
    yield from lost
    named = {violation.message for violation in lost}
    yield from _check_repeats(twin, otherwise)
    said = _said(evidence.updates)
    answered: dict[int, list[Update]] = defaultdict(list)
    for update in exactly:
        assert update.answer is not None  # noqa: S101 - only those come here
        answered[update.answer.version].append(update)
    wanted = sorted({*evidence.states, *evidence.deltas, *answered}, reverse=True)
    for version, sections in _contents(twin, wanted):
        if version in evidence.states:
            yield from _check_state(twin_id, version, sections, evidence.states[version])
        if version in evidence.deltas:
            yield from _check_delta(twin_id, version, sections, evidence.deltas[version])
        for update in answered.get(version, ()):
            if str(update) not in named:
                yield from _check_answered(update, sections, said)


def _oldest(twin: StoredTwin) -> int:
    """Return the first version that the history accounts for."""
    return twin.history[0].version if twin.history else twin.version


def _sorted(updates: Iterable[Update], oldest: int) -> tuple[list[Update], list[Update]]:
    """Part updates with a version of their own from repeats, whose version is another's.

    Left out are those that are older than the history, and those that were told that nothing of
    them took effect.
    """
    exactly: list[Update] = []
    repeats: list[Update] = []
    for update in updates:
        answer = update.answer
        if answer is None or not answer.ok:
            continue
        if answer.is_superseded or answer.version < oldest:
            continue
        (repeats if answer.is_duplicate else exactly).append(update)
    return exactly, repeats


def _check_order(twin_id: str, twin: StoredTwin) -> Iterator[Violation]:
    """Versions only grow, in the history and to the twin's own."""
    before = 0
    for change in twin.history:
        if change.version <= before:
            yield Violation(
                Invariant.STATE_NEVER_GOES_BACK,
                twin_id,
                "history",
                f"version {change.version} follows version {before}",
            )
        before = change.version
    if before > twin.version:
        yield Violation(
            Invariant.STATE_NEVER_GOES_BACK,
            twin_id,
            "history",
            f"it has version {before}, and the twin is at version {twin.version}",
        )


def _check_rows(twin: StoredTwin, updates: list[Update]) -> Iterator[Violation]:
    """Whatever was answered as a change made the version that was answered."""
    rows = {change.version: change for change in twin.history}
    for update in updates:
        answer = update.answer
        if answer is None or not answer.is_changed:
            continue
        row = rows.get(answer.version)
        if row is None:
            yield _lost(update, f"version {answer.version} was answered; the history has none")
        elif not _is_of(row, update):
            yield _lost(
                update,
                f"version {answer.version} was answered, and is {row.section} of "
                f"{row.writer}: {row.patch}",
            )


def _is_of(row: Change, update: Update) -> bool:
    """Tell whether an update can have made a change: it says nothing that the update does not."""
    if row.section != update.origin.section or row.writer != update.origin.writer:
        return False
    said = dict(set_by(update.patch))
    return all(
        said.get(path) == value or (value == NOTHING and (update.is_full or _over(path, said)))
        for path, value in set_by(row.patch)
    )


def _over(path: Path, said: Mapping[Path, bytes]) -> bool:
    """Tell whether something was said at, above or below a path, so that it may have gone."""
    return any(touch(path, other) for other in said)


def _check_repeats(twin: StoredTwin, updates: list[Update]) -> Iterator[Violation]:
    """What was answered as a repeat has shown, or lost to a later one that was there before."""
    shown = _first_shown(twin)
    of_writer: dict[tuple[str, str], list[Update]] = defaultdict(list)
    for update in updates:
        of_writer[update.origin.section, update.origin.writer].append(update)
    for (section, writer), repeats in of_writer.items():
        for update in repeats:
            assert update.answer is not None  # noqa: S101
            by = update.answer.version
            for path, value in set_by(update.patch):
                if (section, writer, path, value) in shown:
                    continue
                if _later_shown(shown, (section, writer), path, value, by) or value == NOTHING:
                    continue
                yield _lost(update, f"{'.'.join(path)} = {value.decode()} has never stood there")
                break


Shown = dict[tuple[str, str, Path, bytes], int]


def _first_shown(twin: StoredTwin) -> Shown:
    """Return by section, writer, path and value the first version that showed it."""
    shown: Shown = {}
    for change in twin.history:
        for path, value in set_by(change.patch):
            shown.setdefault((change.section, change.writer, path, value), change.version)
    return shown


def _later_shown(shown: Shown, who: tuple[str, str], path: Path, value: bytes, by: int) -> bool:
    """Tell whether anything else stood at a path by a version."""
    return any(
        version <= by and touch(path, other_path) and other_value != value
        for (section, writer, other_path, other_value), version in shown.items()
        if (section, writer) == who
    )


def _contents(twin: StoredTwin, wanted: Iterable[int]) -> Iterator[tuple[int, Sections]]:
    """Yield both sections as they were at versions, the newest first; for reading only.

    What the history does not reach is not yielded, nor what is newer than the export.
    """
    sections: Sections = {
        name: copy.deepcopy(twin.section(name)) for name in ("reported", "desired")
    }
    later = iter(reversed(twin.history))
    change = next(later, None)
    for version in wanted:
        if version > twin.version:
            continue
        while change is not None and change.version > version:
            apply_patch(sections[change.section], copy.deepcopy(change.previous))
            change = next(later, None)
        if change is None and not (twin.history and twin.history[0].version == 1):
            return
        yield version, sections


def _check_state(
    twin_id: str, version: int, sections: Sections, state: JsonObject
) -> Iterator[Violation]:
    for name, content in sections.items():
        published = state.get(name)
        if exact(published) != exact(content):
            yield Violation(
                Invariant.PUBLISHED_WAS_STORED,
                twin_id,
                f"state of version {version}",
                f"{name} was published as {short(published)}, and stored as {short(content)}",
            )


def _check_delta(
    twin_id: str, version: int, sections: Sections, delta: JsonObject
) -> Iterator[Violation]:
    expected = outstanding(sections["desired"], sections["reported"])
    if exact(delta.get("state")) != exact(expected):
        yield Violation(
            Invariant.DELTA_IS_EXACT,
            twin_id,
            f"delta of version {version}",
            f"it is {short(delta.get('state'))} and should be {short(expected)}",
        )


def _check_answered(update: Update, sections: Sections, said: Said) -> Iterator[Violation]:
    """What was answered stands at the version of its answer, or what outdoes it does.

    Where it was answered that nothing changed, all of it was there.
    """
    may_lose = update.answer is not None and update.answer.is_changed
    section = sections[update.origin.section]
    for path, value in set_by(update.patch):
        found = at_path(section, path)
        text = NOTHING if found is MISSING else exact(found)  # type: ignore[arg-type]
        if text == value or (may_lose and _outdoes(said, update, path, text)):
            continue
        yield _lost(
            update,
            f"answered with that version, in which {'.'.join(path)} is {found} "
            f"and not {value.decode()}",
        )
        return


Said: TypeAlias = "dict[tuple[str, Path, bytes], list[Update]]"
"""Section, path and value -> those who have said so."""


def _said(updates: Iterable[Update]) -> Said:
    said: Said = defaultdict(list)
    for update in updates:
        for path, value in set_by(update.patch):
            said[update.origin.section, path, value].append(update)
    return said


def _outdoes(said: Said, update: Update, path: Path, found: bytes) -> bool:
    """Tell whether what was found is another writer's, or a later message's of the same one."""
    section = update.origin.section
    by = said.get((section, path, found))
    if by is None:
        # Not a value that was set there: something above or below it, or a removal by `full`.
        by = [
            other
            for (name, other_path, _), others in said.items()
            if name == section and other_path != path and touch(path, other_path)
            for other in others
        ]
        by += [u for us in said.values() for u in us if u.is_full and u.origin.section == section]
    return any(each.origin != update.origin or each.order > update.order for each in by)


def _lost(update: Update, detail: str) -> Violation:
    return Violation(Invariant.ACKNOWLEDGED_IS_KEPT, update.origin.twin, str(update), detail)
