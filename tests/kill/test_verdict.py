"""Each check of the verdict, on a store with one fault in it."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from benchmarks import verdict
from benchmarks.observer import Reply
from benchmarks.stored import StoredFleet
from benchmarks.updates import FIELDS, Stream
from bridge.core.topics import TwinKey
from bridge.store.base import HistoryRow, StoredTwin

DEVICE = "lamp-1"
KEY = TwinKey(DEVICE)
PREFIX = "sync"


def make_stream(sent: int, *, numbered: bool = True) -> Stream:
    """Return a stream of which the broker acknowledged everything."""
    boot = "b" if numbered else None
    topic = f"{PREFIX}/{DEVICE}/report"
    return Stream(topic, DEVICE, "reported", boot, sent, set(range(1, sent + 1)))


def make_row(version: int, number: int) -> HistoryRow:
    """Return the change that an update makes."""
    patch = orjson.dumps({"n": number, f"f{number % FIELDS}": number})
    return HistoryRow(KEY, version, 0, 0, DEVICE, "reported", patch, b"{}")


def make_fleet(numbers: Sequence[int]) -> StoredFleet:
    """Return a store in which these updates were applied, in this order."""
    reported: dict[str, int] = {}
    for number in numbers:
        reported |= {"n": number, f"f{number % FIELDS}": number}
    version = len(numbers)
    state = orjson.dumps({"version": version, "at": 0, "reported": reported, "desired": {}})
    twin = StoredTwin(KEY, version, version, version, True, 0, state, None, b"")
    rows = [make_row(version, number) for version, number in enumerate(numbers, start=1)]
    return StoredFleet({DEVICE: twin}, {DEVICE: rows}, [], [])


def test_nothing_is_found_where_all_is_well() -> None:
    """Every check passes on a store that holds each update in its turn."""
    stream, fleet = make_stream(3), make_fleet([1, 2, 3])
    reply = Reply(DEVICE, DEVICE, "2", 2, duplicate=False, superseded=False)
    retained = {f"{PREFIX}/{DEVICE}/state": fleet.twins[DEVICE].state}
    assert [
        *verdict.check_acknowledged([stream]),
        *verdict.check_twins([stream], fleet),
        *verdict.check_history([stream], fleet, 0),
        *verdict.check_history_in_any_turn([stream], fleet, []),
        *verdict.check_versions(fleet),
        *verdict.check_published({(DEVICE, 2, "reported"): 2}, fleet),
        *verdict.check_replies([reply], [stream], fleet),
        *verdict.check_retained(retained, fleet, PREFIX),
        *verdict.check_health(fleet),
    ] == []


def test_an_update_without_acknowledgement_is_named() -> None:
    """The broker has to have acknowledged all that is looked for."""
    stream = make_stream(3)
    stream.acknowledged.remove(2)
    assert list(verdict.check_acknowledged([stream])) == [
        "lamp-1 reported: the broker never acknowledged updates 2"
    ]


def test_a_lost_update_shows_in_the_twin() -> None:
    """While no later update has set its field."""
    found = list(verdict.check_twins([make_stream(3)], make_fleet([1, 3])))
    assert found == ["lamp-1 reported: update 2 is lost: f2 is None"]


def test_a_lost_twin_is_named() -> None:
    """A device of which the store has nothing."""
    (found,) = verdict.check_twins([make_stream(3)], StoredFleet({}, {}, [], []))
    assert "there is no twin" in found


def test_a_lost_update_cannot_hide_behind_later_ones() -> None:
    """Where its field has been set again the twin is right, and the history is not."""
    sent = 2 * FIELDS
    stream = make_stream(sent)
    fleet = make_fleet([number for number in range(1, sent + 1) if number != 5])
    assert list(verdict.check_twins([stream], fleet)) == []
    (found,) = verdict.check_history([stream], fleet, 0)
    assert "updates 5 are lost" in found
    (found,) = verdict.check_history_in_any_turn([stream], fleet, [])
    assert "update 5 was answered, and the history does not have it" in found


def test_a_superseded_update_needs_no_version() -> None:
    """A device was told that an update lost to a later one."""
    reply = Reply(DEVICE, DEVICE, "2", 2, duplicate=False, superseded=True)
    assert not list(
        verdict.check_history_in_any_turn([make_stream(3)], make_fleet([1, 3]), [reply])
    )


def test_a_numbered_update_that_is_applied_twice_is_named() -> None:
    """Redelivery must not change anything."""
    stream, fleet = make_stream(3), make_fleet([1, 2, 3, 2, 3])
    assert list(verdict.check_history([stream], fleet, 1)) == [
        "lamp-1 reported: update 2 was applied after update 3"
    ]
    assert "lamp-1 reported: update 2 was applied 2 times" in list(
        verdict.check_history_in_any_turn([stream], fleet, [])
    )


def test_updates_without_seq_may_be_replayed_as_often_as_they_were_redelivered() -> None:
    """Applied again with all that followed is right; more often, or with a hole, is not."""
    stream = make_stream(3, numbered=False)
    assert not list(verdict.check_history([stream], make_fleet([1, 2, 3, 2, 3]), 1))
    (found,) = verdict.check_history([stream], make_fleet([1, 2, 3, 2, 3, 1, 2, 3]), 1)
    assert "content went back 2 times" in found
    (found,) = verdict.check_history([stream], make_fleet([1, 2, 3, 1, 3]), 1)
    assert "update 3 was applied after update 1" in found


def test_a_hole_in_the_versions_is_named() -> None:
    """The history has every version, and ends at the twin's."""
    fleet = make_fleet([1, 2, 3])
    del fleet.history[DEVICE][1]
    assert list(verdict.check_versions(fleet)) == [
        "lamp-1: in the history, version 3 follows version 1"
    ]
    del fleet.history[DEVICE][1]
    assert list(verdict.check_versions(fleet)) == [
        "lamp-1: the twin is at version 3, its history at 1"
    ]


def test_a_version_that_is_still_to_be_published_is_named() -> None:
    """After an end in good order nothing is left over."""
    fleet = make_fleet([1, 2])
    fleet.twins[DEVICE] = fleet.twins[DEVICE]._replace(published_version=1)
    (found,) = verdict.check_versions(fleet)
    assert "version 2 is marked as unpublished" in found


def test_a_state_that_was_not_committed_is_named() -> None:
    """Published with other content than the version has, or without that version."""
    counters = {(DEVICE, 2, "reported"): 3, (DEVICE, 4, "reported"): 4}
    found = list(verdict.check_published(counters, make_fleet([1, 2, 3])))
    assert found == [
        "lamp-1: version 2 was published with update 3 of reported, and committed with 2",
        "lamp-1: version 4 was published with update 4 of reported, and committed with None",
    ]


def test_an_answer_without_a_commit_is_named() -> None:
    """What is answered is in the history, at that version."""
    reply = Reply(DEVICE, DEVICE, "4", 4, duplicate=False, superseded=False)
    (found,) = verdict.check_replies([reply], [make_stream(4)], make_fleet([1, 2, 3]))
    assert "update 4 was answered with version 4, which holds update None" in found


def test_retained_topics_that_differ_from_the_store_are_named() -> None:
    """Another state, none, and a delta that ought to be cleared."""
    fleet = make_fleet([1])
    state, delta = f"{PREFIX}/{DEVICE}/state", f"{PREFIX}/{DEVICE}/delta"
    assert len(list(verdict.check_retained({}, fleet, PREFIX))) == 1
    assert len(list(verdict.check_retained({state: b"{}"}, fleet, PREFIX))) == 1
    right = fleet.twins[DEVICE].state
    assert list(verdict.check_retained({state: right, delta: b"{}"}, fleet, PREFIX)) == [
        f"{delta}: retained is {{}}, the store has nothing"
    ]
