"""Whether a device is there: by what it says of itself, and by its reports."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.reconcile import Outcome, reconcile_presence
from bridge.core.update import Presence
from tests.core.world import NOW, SECOND, World


def test_presence_makes_versions_but_creates_nothing() -> None:
    """It is absent until the first one, and makes no row for the history."""
    world = World()
    assert reconcile_presence(world.twin, Presence(True, "b1"), NOW) == Outcome(0, store=True)
    assert not world.twin.exists
    world.send({"on": True}, boot="b1", seq=1)
    assert world.twin.document()["online"] is True
    offline = reconcile_presence(world.twin, Presence(False, "b1"), NOW)
    assert (offline.version, offline.changed, offline.change) == (2, True, None)
    assert reconcile_presence(world.twin, Presence(False, "b1"), NOW) == Outcome(2)
    assert reconcile_presence(world.twin, Presence(False, "b2"), NOW) == Outcome(2, store=True)
    assert world.twin.boots == ["b1", "b2"]


def test_the_will_of_a_replaced_connection_is_ignored() -> None:
    """An `offline` of an older boot than the newest known, by presence or by report."""
    world = World()
    world.send({"on": True}, boot="b1", seq=1)
    reconcile_presence(world.twin, Presence(True, "b1"), NOW)
    reconcile_presence(world.twin, Presence(True, "b2"), NOW)
    ignored = Outcome(2, superseded=True)
    assert reconcile_presence(world.twin, Presence(False, "b1"), NOW) == ignored
    assert world.twin.online is True
    world.send({"on": False}, boot="b3", seq=1)
    assert reconcile_presence(world.twin, Presence(False, "b2"), NOW).superseded
    assert reconcile_presence(world.twin, Presence(False), NOW).changed


@pytest.mark.parametrize(
    ("message", "online"),
    [
        ({"patch": {"on": True}}, True),
        ({"patch": {"on": True}, "retained": True}, False),
        ({"patch": {"on": True}, "boot": "old", "seq": 9}, False),
        ({"patch": {"on": True}, "boot": "newer", "seq": 1}, True),
        ({"patch": {"on": True}, "writer": "operator"}, False),
        ({"patch": {"on": True}, "section": "desired"}, False),
    ],
)
def test_a_live_report_makes_a_device_that_uses_presence_online(
    message: dict[str, Any], online: bool
) -> None:
    """A retained one, one of an older boot, and what others write, do not."""
    world = World()
    world.send({"on": False}, boot="old", seq=1)
    world.send({"on": False}, boot="new", seq=1)
    reconcile_presence(world.twin, Presence(False), NOW)
    world.send(**message)
    assert world.twin.online is online


def test_a_report_that_only_brings_the_device_online_makes_no_history() -> None:
    """The version is the presence's."""
    world = World()
    world.send({"on": True})
    reconcile_presence(world.twin, Presence(False), NOW)
    outcome = world.send({"on": True})
    assert (outcome.changed, outcome.change, world.twin.online) == (True, None, True)


def test_a_device_without_presence_has_none() -> None:
    """A report does not begin it."""
    world = World()
    world.send({"on": True})
    assert "online" not in world.twin.document()


def test_desired_and_named_twins_do_not_decide_on_presence() -> None:
    """Only the device's own boots do."""
    world = World()
    world.desire({"on": True}, boot="app-boot", seq=1)
    assert world.twin.boots == []
    reconcile_presence(world.twin, Presence(False, "b1"), NOW)
    world.desire({"on": False}, boot="app-boot", seq=2)
    assert world.twin.online is False
    world.send({"on": False}, boot="never seen")
    assert world.twin.online is True


def test_last_seen_is_the_devices_own_life_sign() -> None:
    """Its report, and its coming online; not what others want, nor its last will."""
    world = World()
    world.desire({"on": True})
    world.desire({"on": False}, writer="lamp-1")
    world.send({"on": True}, writer="operator")
    assert world.twin.last_seen == 0
    world.send({"on": True})
    seen = world.twin.last_seen
    assert seen == world.clock
    reconcile_presence(world.twin, Presence(False), seen + SECOND)
    assert world.twin.last_seen == seen
    reconcile_presence(world.twin, Presence(True), seen + 2 * SECOND)
    assert world.twin.last_seen == seen + 2 * SECOND
