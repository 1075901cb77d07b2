"""The checker finds each breach, names it, and finds nothing where all is well."""

from __future__ import annotations

import copy

import pytest

from device_sim.checker.export import Change
from tests.device_sim.checker.told import DESIRE, REPORT, Told


def test_where_all_is_well_nothing_is_found() -> None:
    """And it is told how much was looked at."""
    verdict = Told().judge(broker_kept=True)
    assert verdict.violations == []
    assert verdict.figures["updates acknowledged"] == 3
    assert verdict.figures["states seen"] == 2
    assert verdict.figures["changes in the history"] == 3


def test_an_answered_update_that_the_history_does_not_have_is_named() -> None:
    """Device, message, invariant, and what was found in its place."""
    told = Told()
    told.send(REPORT, {"on": True}, seq=3)
    told.answer("lamp-1", 3, 4)
    (first, second) = told.judge().violations
    assert str(first).startswith("acknowledged-is-kept: lamp-1: report boot=b seq=3: version 4")
    assert str(second).endswith("on is False and should be True")


def test_a_version_that_another_update_has_taken_is_found() -> None:
    """As after a commit that was answered and never was."""
    told = Told()
    told.send(REPORT, {"level": 9}, seq=3)
    told.answer("lamp-1", 3, 3)
    told.send(REPORT, {"on": False, "level": 3}, seq=4)
    told.answer("lamp-1", 4, 3, changed=False)
    assert told.found() == ["acknowledged-is-kept"]


def test_an_update_answered_as_no_change_has_to_be_there_already() -> None:
    """At the version that was answered."""
    told = Told()
    told.send(REPORT, {"on": False}, seq=3)
    told.answer("lamp-1", 3, 3, changed=False)
    assert told.found() == []
    told.send(REPORT, {"on": True}, seq=4)
    told.answer("lamp-1", 4, 3, changed=False)
    told.send(REPORT, {"on": False}, seq=5)
    told.answer("lamp-1", 5, 3, changed=False)
    assert told.found() == ["acknowledged-is-kept"]


def test_a_field_that_was_left_out_is_found_though_a_later_message_sets_it() -> None:
    """What was answered stands at its version, all of it, or something newer does."""
    told = Told()
    told.twin.history[1] = Change(2, "lamp-1", "reported", {"on": False}, {"on": True})
    told.twin.history.append(Change(4, "lamp-1", "reported", {"level": 4}, {"level": None}))
    told.twin.version = 4
    told.twin.state |= {"version": 4, "reported": {"on": False, "level": 4}}
    told.sightings.states.clear()
    told.send(REPORT, {"level": 4}, seq=3)
    told.answer("lamp-1", 3, 4)
    assert told.found() == ["acknowledged-is-kept"]


def test_a_late_message_may_lose_a_part_to_a_later_one_that_came_before() -> None:
    """What it adds makes a version."""
    told = Told()
    told.twin.history.append(Change(4, "lamp-1", "reported", {"hue": 1}, {"hue": None}))
    told.twin.version = 4
    told.twin.state |= {"version": 4, "reported": {"on": False, "level": 3, "hue": 1}}
    told.sightings.states.clear()
    told.send(REPORT, {"level": 2, "hue": 1}, seq=0 + 1, boot="a")
    late = told.ledger.of(told.ledger.origins()[0])[-1]
    late.order = (0, 1)
    told.ledger.answered(
        "sync/lamp-1/reply/lamp-1", b'{"$":{"id":"a1","ok":true,"version":4,"changed":true}}'
    )
    assert "acknowledged-is-kept" not in told.found()
    late.order = (9, 9)
    assert "acknowledged-is-kept" in told.found()


def test_a_repeat_has_to_have_shown_or_to_have_been_overtaken() -> None:
    """Its answer names a version of another: what counts is that its value ever stood there."""
    told = Told()
    told.send(REPORT, {"on": False, "level": 3}, seq=3)
    told.answer("lamp-1", 3, 3, duplicate=True)
    assert told.found() == []
    told = Told()
    told.send(REPORT, {"blink": 1}, seq=3)
    told.answer("lamp-1", 3, 3, duplicate=True)
    assert "acknowledged-is-kept" in told.found()


def test_what_was_superseded_need_not_have_shown() -> None:
    """The bridge has said so; what stands at the end is checked all the same."""
    told = Told()
    told.send(REPORT, {"level": 8}, seq=3)
    told.send(REPORT, {"level": 3}, seq=4)
    told.answer("lamp-1", 3, 3, changed=False, superseded=True)
    told.answer("lamp-1", 4, 3, changed=False)
    assert told.found() == []


def test_a_state_that_goes_back_is_found_for_a_subscriber_that_was_there() -> None:
    """What a broker has retained for a new subscription is counted only."""
    told = Told()
    told.publish("state", {"version": 1, "reported": {"on": True}, "desired": {}}, retained=True)
    assert told.found() == []
    assert told.sightings.stale == 1
    told.publish("state", {"version": 1, "reported": {"on": True}, "desired": {}})
    assert told.found() == ["state-never-goes-back"]


def test_versions_go_on_after_a_deletion() -> None:
    """A cleared topic forgets nothing."""
    told = Told()
    told.publish("state", None)
    told.publish("state", {"version": 2, "reported": {}, "desired": {}})
    assert "state-never-goes-back" in told.found()


def test_two_contents_of_one_version_are_found() -> None:
    """One of them was never stored, too."""
    told = Told()
    told.publish("state", {"version": 3, "at": 3, "reported": {"on": True}, "desired": {}})
    assert "one-content-a-version" in told.found()


def test_what_was_published_has_to_have_been_stored_at_its_version() -> None:
    """Also long ago, and also where a type differs only."""
    told = Told()
    told.sightings.states["lamp-1", 2] = {
        "version": 2, "reported": {"on": False, "level": 3.0}, "desired": {},
    }  # fmt: skip
    assert told.found() == ["published-was-stored"]


def test_a_delta_that_was_never_right_is_found() -> None:
    """At its own version, whatever came later."""
    told = Told()
    told.sightings.deltas["lamp-1", 3] = {"version": 3, "at": 3, "state": {"level": 6}}
    assert told.found() == ["delta-is-exact"]
    told = Told()
    told.sightings.deltas["lamp-1", 2] = {"version": 2, "at": 2, "state": {"level": 5}}
    assert told.found() == ["delta-is-exact"]


@pytest.mark.parametrize("missing", [0, 1])
def test_what_is_retained_has_to_be_what_is_stored(missing: int) -> None:
    """State and delta."""
    told = Told()
    state, delta = told.retained
    told.retained = (None, delta) if missing == 0 else (state, None)
    assert told.found() == ["retained-is-stored"]


def test_a_stored_delta_that_is_wrong_is_found() -> None:
    """Though the broker has the same."""
    told = Told()
    told.twin.delta = {"version": 3, "at": 3, "state": {"level": 6}}
    told.retained = (told.retained[0], told.twin.delta)
    assert told.found() == ["delta-is-exact"]


@pytest.mark.parametrize("is_complete", [True, False])
def test_what_nobody_has_sent_is_found_where_the_ledger_is_complete(is_complete: bool) -> None:
    """Where it is not, somebody may have sent it before."""
    told = Told(is_complete=is_complete)
    ghost = {"on": False, "level": 3, "ghost": 1}
    told.twin.state |= {"version": 4, "reported": ghost}
    told.twin.version = 4
    told.twin.history.append(Change(4, "lamp-1", "reported", {"ghost": 1}, {"ghost": None}))
    told.sightings.states["lamp-1", 3] = {**told.twin.state, "reported": {"on": False, "level": 3}}
    assert told.found() == (["last-state-is-what-was-sent"] if is_complete else [])


def test_an_applications_write_that_another_has_replaced_is_accounted_for_by_the_history() -> None:
    """Or by the conflict log; by neither it is lost."""
    rival = "sync/lamp-1/desire/rival"
    told = Told()
    told.send(rival, {"level": 7}, seq=1, boot="r")
    answer = b'{"$":{"id":"r1","ok":true,"version":3,"changed":false,"superseded":true}}'
    told.ledger.answered("sync/lamp-1/reply/rival", answer)
    assert told.found() == []

    told = Told()
    told.send(rival, {"level": 7}, seq=1, boot="r")
    told.ledger.answered(
        "sync/lamp-1/reply/rival",
        b'{"$":{"id":"r1","ok":true,"version":3,"changed":false,"duplicate":true}}',
    )
    told.twin.history.insert(2, Change(3, "rival", "desired", {"level": 7}, {"level": None}))
    told.twin.history[3:] = []
    assert "conflicts-are-accounted-for" in told.found()
    told.lose("desired", ("level",), 7, "rival")
    told.lose("desired", ("level",), 5, "app")
    assert "conflicts-are-accounted-for" not in told.found()


def test_an_update_that_was_never_answered_is_found_and_doubted() -> None:
    """It may have been applied, or not; that it has no answer is the violation."""
    told = Told()
    told.send(REPORT, {"level": 9}, seq=3)
    assert told.found() == ["all-is-answered"]


def test_a_plain_message_counts_where_the_broker_was_kept() -> None:
    """It accepted it: then it may not be lost; after a kill of the broker it may."""
    told = Told()
    told.ledger.sent(DESIRE.replace("app", "plain"), b'{"scene":1}')
    told.ledger.accepted(DESIRE.replace("app", "plain"), b'{"scene":1}')
    assert told.found() == []
    assert told.found(broker_kept=True) == ["last-state-is-what-was-sent"]


def test_a_twin_that_is_missing_breaks_what_was_promised_for_its_message() -> None:
    """Answered, the update is kept; accepted by the broker alone, it may still be on its way."""
    told = Told()
    told.ledger.sent("sync/fan-1/report", b'{"on":true}')
    told.ledger.accepted("sync/fan-1/report", b'{"on":true}')
    assert told.found(broker_kept=True) == ["last-state-is-what-was-sent"]
    told.ledger.sent("sync/fan-2/report", told.payload({"on": True}, 1))
    answer = b'{"$":{"id":"b1","ok":true,"version":1,"changed":true}}'
    told.ledger.answered("sync/fan-2/reply/fan-2", answer)
    assert "acknowledged-is-kept" in told.found(broker_kept=True)


def test_versions_may_leap_but_not_go_back_in_the_history() -> None:
    """They leap after a restore."""
    told = Told()
    leapt = copy.deepcopy(told.twin)
    told.twin.history[1] = told.twin.history[1]._replace(version=1)
    assert "state-never-goes-back" in told.found()
    told.twin = leapt
    told.twin.version += 2**20
    told.twin.state["version"] = told.twin.version
    assert "state-never-goes-back" not in told.found()
