"""The past of a twin, rebuilt from its changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.core.difference import copy_object
from bridge.core.policy import Policies
from bridge.core.reconcile import Change, reconcile
from bridge.core.section import JsonObject, same
from bridge.core.timeline import (
    BEFORE_ALL,
    Found,
    Missing,
    Moment,
    Point,
    Rewind,
    apply_patch,
    difference_of,
    patches_to,
)
from bridge.core.update import Metadata, Update
from tests.core.past import VERSION_STEP, Past, live, policies, snapshot, steps
from tests.core.world import NOW, SECOND, World
from tests.support.examples import examples

scripts = st.lists(steps, max_size=14)

EMPTIED = [
    ("reported", {"a": {"b": {}}}, {}),
    ("reported", {"a": None}, {}),
    ("reported", {"a": {"b": {"c": 1}}}, {}),
]
"""An object that was there and empty, and now would go with its last field."""


def documents(moment: Found) -> tuple[bool, JsonObject, JsonObject]:
    """What was visible."""
    assert isinstance(moment, Moment)
    return moment.exists, moment.reported, moment.desired


def assert_same(one: Found, other: Found) -> None:
    """Fail unless both show the same; 1 is not 1.0, and true is not 1."""
    assert isinstance(one, Moment)
    assert isinstance(other, Moment)
    assert one.exists == other.exists
    assert same(one.reported, other.reported), (one, other)
    assert same(one.desired, other.desired), (one, other)


@given(scripts, policies, st.integers(1, 4))
@examples(500)
def test_every_version_is_rebuilt_as_it_was(script: list[Any], rules: Policies, page: int) -> None:
    """After any history, whatever the policies and the pages."""
    past = live(script, rules)
    for version, then in past.snapshots.items():
        found = past.find(Point("version", version), page=page)
        assert_same(found, then)
        assert isinstance(found, Moment)
        assert found.version == version
    assert past.find(Point("version", 0), page=page) == BEFORE_ALL


@given(scripts, st.integers(1, 4))
@examples(300)
def test_a_time_leads_to_the_last_change_up_to_it(script: list[Any], page: int) -> None:
    """At the very µs of a version, and just before the next one."""
    past = live(script)
    rows = {row.version for row in past.rows}
    for version, then in past.snapshots.items():
        assert then.at is not None
        following = past.snapshots.get(version + 1)
        times = [then.at] + ([] if following is None else [(following.at or 0) - 1])
        for time in times:
            found = past.find(Point("time", time), page=page)
            assert_same(found, then)
            assert isinstance(found, Moment)
            newest = max((row for row in rows if row <= version), default=0)
            assert found.version in (newest, version)
    if past.snapshots:
        assert past.find(Point("time", (past.snapshots[1].at or 0) - 1)) == BEFORE_ALL


@given(scripts, policies, st.data())
@examples(300)
def test_a_difference_leads_from_the_one_state_to_the_other(
    script: list[Any], rules: Policies, data: st.DataObject
) -> None:
    """Forth and back, for any two versions in any order."""
    past = live(script, rules)
    versions = st.integers(0, past.world.twin.version)
    one, other = (past.find(Point("version", data.draw(versions))) for _ in range(2))
    assert isinstance(one, Moment)
    assert isinstance(other, Moment)
    difference = difference_of(one, other)
    for section in ("reported", "desired"):
        forward, backward = getattr(difference, section)
        for start, patch, end in ((one, forward, other), (other, backward, one)):
            value = copy_object(getattr(start, section))
            apply_patch(value, patch)
            assert same(value, getattr(end, section))


@given(scripts, st.integers(0, 14), st.integers(1, 3))
@examples(500)
def test_what_is_no_longer_kept_is_never_guessed(script: list[Any], kept: int, page: int) -> None:
    """Each version is told as it was, or not at all; it is told where all that followed is kept."""
    past = live(script)
    rows = past.rows[:kept]
    for version, then in past.snapshots.items():
        found = past.find(Point("version", version), page=page, rows=rows)
        if isinstance(found, Moment):
            assert_same(found, then)
            assert found.at in (None, then.at, *(row.at for row in rows))
            continue
        assert found.why == "gone"
        oldest = min((row.version for row in rows), default=past.world.twin.version)
        assert version < oldest
        assert found.version == oldest
        assert version < oldest - 1 or not rows or not (then.reported or then.desired)


@given(scripts, st.integers(0, 14), st.sampled_from(["reported", "desired"]))
@example(EMPTIED, 1, "reported")
@examples(500)
def test_the_patches_of_a_rollback_lead_there(script: list[Any], to: int, section: Any) -> None:
    """As ordinary updates, objects that become empty too; at most one is visible."""
    past = live(script)
    world = past.world
    wanted = past.find(Point("version", min(to, world.twin.version)))
    assert isinstance(wanted, Moment)
    before = world.twin.version
    for patch in patches_to(getattr(snapshot(world), section), getattr(wanted, section)):
        metadata = Metadata(seen=world.twin.version, if_version=world.twin.version)
        update = Update(world.twin.key, section, "operator", patch, metadata, b"")
        assert reconcile(world.twin, update, world.clock, world.limits).refusal is None
    assert same(world.twin.section(section).value, getattr(wanted, section))
    assert world.twin.version <= before + 1


def small_past() -> Past:
    """Created, changed, offline, deleted, created anew, changed: versions 1 to 6."""
    past = live(
        [
            ("reported", {"on": True}, {}),
            ("desired", {"level": 1}, {}),
            ("presence", False, None),
            ("delete", None, None),
            ("reported", {}, {}),
            ("reported", {"on": False}, {}),
        ]
    )
    assert [row.version for row in past.rows] == [6, 5, 4, 2, 1]
    return past


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (0, (False, {}, {})),
        (1, (True, {"on": True}, {})),
        (2, (True, {"on": True}, {"level": 1})),
        (3, (True, {"on": True}, {"level": 1})),
        (4, (False, {}, {})),
        (5, (True, {}, {})),
        (6, (True, {"on": False}, {})),
    ],
)
def test_each_version_has_its_answer(
    version: int, expected: tuple[bool, JsonObject, JsonObject]
) -> None:
    """One that changed presence alone looks as before; a deleted twin does not exist."""
    assert documents(small_past().find(Point("version", version))) == expected


def test_a_version_tells_when_it_became_so() -> None:
    """The time of the change that led to it, also where presence has made versions since."""
    past = small_past()
    times = {row.version: row.at for row in past.rows}
    found = past.find(Point("version", 3))
    assert isinstance(found, Moment)
    assert (found.version, found.at) == (3, times[2])


def test_a_version_that_was_not_reached_is_missing() -> None:
    """Nothing is read for it."""
    past = small_past()
    assert past.find(Point("version", 7), rows=[]) == Missing("ahead", 6, past.rows[0].at)


def test_a_version_just_before_the_oldest_change_is_known() -> None:
    """All that followed is there; only when it came about is not."""
    past = small_past()
    found = past.find(Point("version", 1), rows=past.rows[:4])
    assert found == Moment(1, None, exists=True, reported={"on": True}, desired={})
    oldest = past.rows[2]
    assert past.find(Point("version", 2), rows=past.rows[:3]) == Missing("gone", 4, oldest.at)


def test_before_a_kept_change_an_empty_twin_may_have_been_a_deleted_one() -> None:
    """So nothing is said about it."""
    past = small_past()
    rows = past.rows[:2]
    assert past.find(Point("version", 4), rows=rows) == Missing("gone", 5, rows[1].at)


def test_a_time_before_all_that_is_kept_is_missing() -> None:
    """Unless the first change of all is there: then the twin did not exist."""
    past = small_past()
    early = Point("time", NOW)
    assert past.find(early) == BEFORE_ALL
    assert past.find(early, rows=past.rows[:4]) == Missing("gone", 2, past.rows[3].at)


def test_without_any_change_only_the_present_is_known() -> None:
    """As where the history is switched off."""
    past = small_past()
    assert documents(past.find(Point("version", 6), rows=[])) == (True, {"on": False}, {})
    assert past.find(Point("version", 5), rows=[]) == Missing("gone", 6, past.rows[0].at)


def test_a_present_whose_time_is_not_known_is_said_to_be_at_0() -> None:
    """There is nothing that could be said better."""
    present = Moment(3, None, exists=True, reported={"on": 1}, desired={})
    assert Rewind(present, Point("version", 4), VERSION_STEP).start() == Missing("ahead", 3, 0)
    assert Rewind(present, Point("time", 0), VERSION_STEP).start() == present
    rewind = Rewind(present, Point("version", 2), VERSION_STEP)
    assert rewind.start() is None
    assert rewind.below_version == 4
    assert rewind.take([]) == Missing("gone", 3, 0)


@pytest.mark.parametrize(
    ("present", "wanted", "patches"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"a": 2}]),
        ({"a": {"b": 1}}, {"a": {}}, [{"a": {}}, {"a": {"b": None}}]),
        ({"x": 1, "a": {"b": 1}}, {"x": 2, "a": {}}, [{"a": {}}, {"x": 2, "a": {"b": None}}]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {}}}, [{"a": {"b": {}}}, {"a": {"b": {"c": None}}}]),
        ({"a": {}}, {"a": {}}, []),
        ({"a": 5}, {"a": {}}, [{"a": {}}]),
        ({"a": {"b": 1}}, {"a": 5}, [{"a": 5}]),
        ({}, {"a": {}}, [{"a": {}}]),
        ({"a": {"b": 1}, "c": {}}, {"c": {"d": 1}}, [{"a": None, "c": {"d": 1}}]),
    ],
)
def test_two_patches_are_needed_where_an_object_becomes_empty(
    present: JsonObject, wanted: JsonObject, patches: list[JsonObject]
) -> None:
    """The first marks it, so that it stays when the second takes its last field."""
    assert patches_to(present, wanted) == patches


def test_a_hole_in_the_history_is_noticed() -> None:
    """A change that cannot have led to what followed, as where the history was switched off."""
    past = live([("reported", {"on": value}, {}) for value in (1, 2, 3, 4)])
    rows = [row for row in past.rows if row.version != 3]
    assert past.find(Point("version", 1), rows=rows) == Missing("broken", 4, past.rows[0].at)
    assert documents(past.find(Point("version", 4), rows=rows)) == (True, {"on": 4}, {})
    past = live([("reported", {"on": 1}, {}), ("delete", None, None), ("reported", {"a": 1}, {})])
    rows = [past.rows[1]]
    assert past.find(Point("version", 1), rows=rows) == Missing("broken", 3, past.present.at or 0)


def test_versions_lost_to_a_restore_are_not_guessed() -> None:
    """The backup was at 2, and comes back at 1002: 3 may have been anything."""
    past = small_past()
    first, second = past.rows[4], past.rows[3]
    backup = Moment(2 + VERSION_STEP, second.at, True, {"on": True}, {"level": 1})
    later = Change(1005, NOW, NOW, "app", "desired", {"level": 2}, {"level": 1})
    now = Moment(1005, NOW + SECOND, True, {"on": True}, {"level": 2})
    for present, rows in ((backup, [second, first]), (now, [later, second, first])):
        restored = RestoredPast(World(), rows, {})
        restored.is_now(present)
        for version in (2, 2 + VERSION_STEP):
            assert documents(restored.find(Point("version", version)))[2] == {"level": 1}
        for version in (3, 500, 1 + VERSION_STEP):
            found = restored.find(Point("version", version))
            assert isinstance(found, Missing)
            assert found.why == "gone"


@pytest.mark.parametrize("newest", [VERSION_STEP - 2, VERSION_STEP + 9])
def test_versions_between_two_changes_that_no_restore_lies_between_are_known(newest: int) -> None:
    """They were presence's, however many came, and whatever came later."""
    first = Change(1, NOW, NOW, "lamp-1", "reported", {"on": 1}, {"on": None})
    second = Change(2, NOW, NOW, "lamp-1", "reported", {"on": 2}, {"on": 1})
    third = Change(VERSION_STEP - 2, NOW, NOW, "lamp-1", "reported", {"on": 3}, {"on": 2})
    past = RestoredPast(World(), [third, second, first], {})
    past.is_now(Moment(newest, NOW + SECOND, True, {"on": 3}, {}))
    for version in (3, 500, VERSION_STEP - 3):
        assert documents(past.find(Point("version", version))) == (True, {"on": 2}, {})


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({}, {"a": None}, {}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": 1}, {"a": {"c": 2}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ({}, {"a": {"b": None}}, {"a": {}}),
    ],
)
def test_a_patch_is_applied_as_rfc_7396_says(
    target: JsonObject, patch: JsonObject, result: JsonObject
) -> None:
    """In place."""
    apply_patch(target, patch)
    assert target == result


@pytest.mark.parametrize(
    ("now", "forward"),
    [
        ({"a": 5}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 5}),
        ({"a": {"b": 2}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}, "c": 1}, {"a": {"b": 1}, "c": None}),
        ({}, {"a": {"b": 1}}),
    ],
)
def test_a_change_that_does_not_lead_to_what_followed_breaks_the_history(
    now: JsonObject, forward: JsonObject
) -> None:
    """At whatever depth."""
    change = Change(2, NOW, NOW, "lamp-1", "reported", forward, {})
    rewind = Rewind(Moment(3, NOW, True, now, {}), Point("version", 1), VERSION_STEP)
    assert rewind.take([change]) == Missing("broken", 3, NOW)


def test_a_deletion_without_what_was_there_leads_to_empty_sections() -> None:
    """As a row may be that somebody else has written."""
    created = Change(1, NOW, NOW, "lamp-1", "reported", {}, {})
    deleted = Change(2, NOW, NOW, "app", "twin", None, {"reported": 5})
    rewind = Rewind(Moment(2, NOW, False, {}, {}), Point("version", 1), VERSION_STEP)
    assert documents(rewind.take([deleted, created])) == (True, {}, {})


class RestoredPast(Past):
    """A past whose present was put there."""

    def is_now(self, present: Moment) -> None:
        """Put it there."""
        twin = self.world.twin
        twin.version, twin.at, twin.exists = present.version, present.at or 0, present.exists
        twin.reported.value, twin.desired.value = present.reported, present.desired
