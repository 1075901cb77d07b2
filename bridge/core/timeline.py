"""The past of a twin: what it was at a version or a time, and how two of its states differ.

The history holds the visible changes of a twin, each with the merge patch back. Whoever begins
with the present twin and undoes one change after the other, the newest first, comes past every
state that there was, as far back as no change is missing. Rows never change and go from the oldest
end only, so they may be read in pages while the twin goes on.

Not every version has a row: those that only changed the device's presence have none. The twin looks
then as it did at the change before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from bridge.core.difference import copy_object, difference
from bridge.core.reconcile import Change
from bridge.core.section import JsonObject, same


class Point(NamedTuple):
    """Where to look: at a version, or at a time in µs since the epoch."""

    kind: Literal["version", "time"]
    number: int


class Moment(NamedTuple):
    """What a twin was.

    Attributes:
        version: The version.
        at: When what is seen here came about, in µs; None where that change is not kept any more,
            and before the first one.
        exists: False before the first report and while it was deleted; both sections are empty.
        reported: The section of that name.
        desired: The section of that name.
    """

    version: int
    at: int | None
    exists: bool
    reported: JsonObject
    desired: JsonObject


class Missing(NamedTuple):
    """A state that cannot be told.

    Attributes:
        why: `ahead`: the twin has not come so far. `gone`: the history does not reach back so far.
            `broken`: it does, but a change in it does not lead to the state that followed, as where
            the history was switched off for a while.
        version: The twin's version, or the oldest change from which on all is known.
        at: The time of it, in µs.
    """

    why: Literal["ahead", "gone", "broken"]
    version: int
    at: int


Found: TypeAlias = "Moment | Missing"

BEFORE_ALL = Moment(0, None, exists=False, reported={}, desired={})
"""Version 0 is the same for every twin, whatever its history still holds."""


class Rewind:
    """Goes back from the present to one point, page by page.

    Args:
        present: The twin now; `at` is the time of its version. It is not changed.
        point: The point.
        version_step: By how much a restored backup raises versions. Those in between may have been
            made after the backup, and with other content: what they were is not known.

    Attributes:
        below_version: The next page begins with the newest change below this version.
    """

    def __init__(self, present: Moment, point: Point, version_step: int) -> None:
        self._present = present
        self._point = point
        self._version_step = version_step
        # What it was up to the version before the one below which changes are still to come.
        self._reported = copy_object(present.reported)
        self._desired = copy_object(present.desired)
        self._exists = present.exists
        self._oldest: Change | None = None
        self.below_version = present.version + 1

    def start(self) -> Found | None:
        """Return what can be told without the history; None: give the changes to `take`."""
        kind, number = self._point
        present = self._present
        if kind == "version" and number > present.version:
            return Missing("ahead", present.version, present.at or 0)
        if kind == "version" and number == 0:
            return BEFORE_ALL
        if number >= (present.version if kind == "version" else present.at or 0):
            return present
        return None

    def take(self, page: Sequence[Change]) -> Found | None:
        """Go on with a page of changes, the newest first; an empty one is the end of the history.

        Returns:
            What was looked for, or None: it needs the next page.
        """
        if not page:
            return self._at_the_end()
        for change in page:
            if not self._leads_here(change):
                return self._missing("broken")
            if self._is_reached(change):
                return self._found(change)
            self._undo(change)
        return None

    def _is_reached(self, change: Change) -> bool:
        kind, number = self._point
        return (change.version if kind == "version" else change.at) <= number

    def _leads_here(self, change: Change) -> bool:
        """Tell whether the state that followed is one that the change can have left."""
        if change.forward is None:
            return not (self._reported or self._desired)
        section = self._reported if change.section == "reported" else self._desired
        return self._exists and _is_applied(change.forward, section)

    def _undo(self, change: Change) -> None:
        if change.forward is None:
            self._reported = _section(change.backward, "reported")
            self._desired = _section(change.backward, "desired")
            self._exists = True
        else:
            section = self._reported if change.section == "reported" else self._desired
            apply_patch(section, change.backward)
        self._oldest = change
        self.below_version = change.version

    def _found(self, change: Change) -> Found:
        """Conclude at the newest change that is not behind the point."""
        kind, number = self._point
        version = number if kind == "version" else change.version
        following = self._oldest.version if self._oldest else self._present.version
        raises = (following - change.version) // self._version_step
        if change.version < version < change.version + raises * self._version_step:
            return self._missing("gone")
        exists = change.forward is not None
        return Moment(version, change.at, exists, self._reported, self._desired)

    def _at_the_end(self) -> Found:
        """Conclude where no older change is kept."""
        kind, number = self._point
        oldest = self._oldest
        if oldest is not None and oldest.version == 1:
            return BEFORE_ALL
        if (
            kind == "version"
            and oldest is not None
            and number == oldest.version - 1
            and (self._reported or self._desired)
        ):
            # With both sections empty it cannot be told from a deleted one.
            return Moment(number, None, self._exists, self._reported, self._desired)
        return self._missing("gone")

    def _missing(self, why: Literal["gone", "broken"]) -> Missing:
        if self._oldest is None:
            return Missing(why, self._present.version, self._present.at or 0)
        return Missing(why, self._oldest.version, self._oldest.at)


class Difference(NamedTuple):
    """How two states of a twin differ: for each section the merge patches forth and back."""

    reported: tuple[JsonObject, JsonObject]
    desired: tuple[JsonObject, JsonObject]


def difference_of(one: Moment, other: Moment) -> Difference:
    """Return the merge patches from the one state to the other and back."""
    return Difference(
        difference(one.reported, other.reported), difference(one.desired, other.desired)
    )


def patches_to(present: JsonObject, wanted: JsonObject) -> list[JsonObject]:
    """Return the merge patches that an update each leads with from one section to another.

    There are two where an object is to be empty that is not: removing its last field removes the
    object too, unless it was itself set to `{}`. The first one does that, and changes nothing that
    is visible.

    Returns:
        At most two patches, to be applied in this order; none where both are the same.
    """
    patch, _ = difference(present, wanted)
    markers = _emptied(present, wanted)
    return [each for each in (markers, patch) if each]


def apply_patch(target: JsonObject, patch: JsonObject) -> None:
    """Apply a merge patch (RFC 7396) in place; it shares no object with the patch afterwards."""
    for name, new in patch.items():
        if new is None:
            target.pop(name, None)
        elif isinstance(new, dict):
            below = target.get(name)
            if not isinstance(below, dict):
                below = target[name] = {}
            apply_patch(below, new)
        else:
            target[name] = new


def _is_applied(patch: JsonObject, value: JsonObject) -> bool:
    """Tell whether applying a merge patch would leave a value as it is."""
    for name, new in patch.items():
        old = value.get(name)
        if isinstance(new, dict) and isinstance(old, dict):
            if not _is_applied(new, old):
                return False
        elif not same(old, new):
            return False
    return True


def _emptied(present: JsonObject, wanted: JsonObject) -> JsonObject:
    """Return a patch with `{}` wherever an object becomes empty."""
    markers: JsonObject = {}
    for name, new in wanted.items():
        old = present.get(name)
        if not (isinstance(new, dict) and isinstance(old, dict) and old):
            continue
        if not new:
            markers[name] = {}
        elif below := _emptied(old, new):
            markers[name] = below
    return markers


def _section(backward: JsonObject, name: str) -> JsonObject:
    """Return a section as it was before a deletion."""
    section = backward.get(name)
    return copy_object(section) if isinstance(section, dict) else {}
