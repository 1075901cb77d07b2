"""A twin that is deleted, and what of it is still known."""

from __future__ import annotations

from bridge.core.limits import Limits
from bridge.core.reconcile import Change, Outcome, delete, reconcile_presence
from bridge.core.refusal import Refusal
from bridge.core.update import Delivery, Presence
from tests.core.world import NOW, SECOND, World


def test_a_deletion_is_a_version_and_a_report_afterwards_creates_anew() -> None:
    """Versions are never used again, and the old content is gone."""
    world = World()
    world.send({"on": True})
    world.desire({"on": False})
    world.clock += SECOND
    outcome = delete(world.twin, "app", world.clock)
    assert (outcome.version, outcome.clear, world.twin.exists) == (3, True, False)
    assert outcome.change is not None
    assert outcome.change.backward == {"reported": {"on": True}, "desired": {"on": False}}
    assert delete(world.twin, "app", world.clock).refusal is not None
    world.send({"level": 5})
    assert world.twin.version == 4
    assert world.twin.document()["reported"] == {"level": 5}
    assert world.twin.document()["desired"] == {}


def test_a_deletion_leaves_the_removal_of_both_sections_and_nothing_else() -> None:
    """What came before it stays shadowed, and is forgotten as any removal is."""
    world = World()
    world.send({"on": {"x": True}})
    world.desire({"on": False}, seq=1)
    reconcile_presence(world.twin, Presence(True), world.clock)
    before = world.twin.document()
    now = world.clock + 5 * SECOND
    outcome = delete(world.twin, "anna", now)
    backward = {"reported": before["reported"], "desired": before["desired"]}
    change = Change(4, now, now, "anna", "twin", None, backward)
    assert outcome == Outcome(4, changed=True, store=True, change=change, clear=True)
    twin = world.twin
    assert twin.document() == {"version": 4, "at": now, "reported": {}, "desired": {}}
    assert (twin.now, twin.online, twin.horizon) == (now, None, 4)
    for section in (twin.reported, twin.desired):
        assert list(section.registers()) == [(now, "anna", 0, now, 4, "anna")]
        assert (section.version, section.tombstones) == (4, {(): now})
    assert list(twin.writers) == [("desired", "app")]


def test_what_is_kept_of_a_deleted_twin_is_its_own() -> None:
    """The history's row does not change with the twin."""
    world = World()
    world.send({"on": {"x": True}})
    world.desire({"on": {"x": False}})
    reported, desired = world.reported, world.desired
    change = delete(world.twin, "anna", world.clock).change
    reported["on"]["x"] = desired["on"]["x"] = "changed"
    assert change is not None
    assert change.backward == {"reported": {"on": {"x": True}}, "desired": {"on": {"x": False}}}


def test_a_twin_that_is_not_there_cannot_be_deleted() -> None:
    """The message says whether it ever was."""
    world = World()
    what = "a report or a desire creates it"
    refusal = Refusal(404, "no_such_twin", f"twin 'lamp-1' does not exist: {what}")
    assert delete(world.twin, "app", NOW) == Outcome(0, refusal=refusal)
    world.send({"on": True})
    delete(world.twin, "app", NOW)
    refusal = Refusal(404, "no_such_twin", f"twin 'lamp-1' has been deleted: {what}")
    assert delete(world.twin, "app", NOW) == Outcome(2, refusal=refusal)


def test_a_message_stamped_before_the_deletion_loses() -> None:
    """It does not bring the twin back."""
    world = World()
    world.send({"on": True}, seq=1)
    deleted_at = world.clock + SECOND
    delete(world.twin, "app", deleted_at)
    late = world.send({"on": False}, time=deleted_at - 1)
    assert late.superseded
    assert not world.twin.exists
    assert world.send({"on": True}, seq=1).duplicate


def test_a_deletion_is_forgotten_after_its_time() -> None:
    """Then an old message brings the twin back; the horizon says that it had been there."""
    world = World(Limits(tombstone_ttl_us=10 * SECOND))
    world.send({"a": 1})
    delete(world.twin, "app", world.clock + SECOND)
    world.clock += 60 * SECOND
    world.send({"b": 2})
    assert not world.twin.reported.tombstones
    assert world.twin.horizon == 2
    assert world.send({"c": 1}, time=NOW).changed


def test_a_deletion_that_is_delivered_again_does_not_delete_what_came_after_it() -> None:
    """Neither by the broker's repeat, nor as a retained message at every subscription."""
    for first, again in (
        (Delivery(5), Delivery(5, repeated=True)),
        (Delivery(5, retained=True), Delivery(0, retained=True)),
    ):
        world = World()
        world.send({"on": True}, boot="b", seq=1)
        assert delete(world.twin, "app", NOW * 2, b"", first).clear
        world.clock = NOW * 3
        world.send({"on": False}, boot="b", seq=2)
        assert delete(world.twin, "app", NOW * 4, b"", again) == Outcome(3, duplicate=True)
        assert world.reported == {"on": False}
