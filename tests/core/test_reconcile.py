"""What one message does to one twin."""

from __future__ import annotations

from bridge.core.limits import REFUSALS_PER_TWIN, Limits
from bridge.core.reconcile import Change, Outcome, delete
from bridge.core.refusal import Refusal
from bridge.core.section import same
from bridge.core.update import Delivery
from tests.core.world import NOW, SECOND, World


def test_the_first_report_makes_version_1() -> None:
    """And a row for the history that says what was there before."""
    world = World()
    outcome = world.send({"on": True, "color": {"r": 1}})
    assert (outcome.version, outcome.changed, outcome.store) == (1, True, True)
    assert world.twin.document() == {
        "version": 1,
        "at": NOW + SECOND,
        "reported": {"on": True, "color": {"r": 1}},
        "desired": {},
    }
    forward, backward = {"on": True, "color": {"r": 1}}, {"on": None, "color": None}
    now = NOW + SECOND
    assert outcome.change == Change(1, now, now, "lamp-1", "reported", forward, backward)


def test_the_same_again_makes_no_version_and_no_history() -> None:
    """But it is remembered: something is to be stored."""
    world = World()
    world.send({"on": True})
    again = world.send({"on": True})
    assert again == Outcome(1, store=True)


def test_a_null_alone_creates_nothing() -> None:
    """A removal makes nothing visible, and an empty report says that the device is there."""
    world = World()
    assert not world.send({"on": None}).changed
    assert not world.twin.exists
    assert world.send({}).changed
    assert world.twin.exists


def test_a_repeat_with_seq_is_answered_and_not_applied() -> None:
    """Although a later message has changed the field meanwhile."""
    world = World()
    world.send({"on": True}, seq=1)
    world.send({"on": False}, seq=2)
    assert world.send({"on": True}, seq=1) == Outcome(2, duplicate=True)
    assert world.reported == {"on": False}


def test_what_the_broker_repeats_of_an_earlier_life_of_a_boot_is_a_repeat() -> None:
    """Although the device, which had forgotten, has used the number again."""
    world = World()
    world.send({"on": True}, seq=1)
    world.send({"on": False}, seq=1)
    assert world.send({"on": True}, seq=1, repeated=True) == Outcome(2, duplicate=True)
    assert world.send({"on": True}, seq=1).changed


def test_a_late_message_loses_to_a_later_one_and_still_fills_in_what_is_its_own() -> None:
    """Order within a writer comes from `seq`, not from arrival."""
    world = World()
    world.send({"on": True}, seq=1)
    world.send({"on": False}, seq=3)
    late = world.send({"on": True, "level": 5}, seq=2)
    assert world.reported == {"on": False, "level": 5}
    assert late.changed
    assert not late.superseded


def test_a_late_message_of_which_nothing_is_left_is_superseded() -> None:
    """Answered with ok, no version."""
    world = World()
    world.send({"on": False}, seq=2)
    late = world.send({"on": True}, seq=1)
    assert (late.superseded, late.changed, late.version) == (True, False, 1)


def test_an_edit_with_an_old_clock_loses_unless_its_writer_had_seen_what_it_overwrites() -> None:
    """Rules 1 and 2 of the stamp."""
    world = World()
    world.desire({"mode": "eco"}, writer="a")
    hour_ago = NOW - 3600 * SECOND
    assert world.desire({"mode": "party"}, writer="b", time=hour_ago).superseded
    assert world.desire({"mode": "party"}, writer="b", time=hour_ago, seen=1).changed
    assert world.twin.desired.value == {"mode": "party"}


def test_seen_that_is_not_current_wins_only_over_what_was_seen() -> None:
    """A field that changed after `seen` is newer; one that did not is overwritten."""
    world = World()
    world.desire({"a": 1, "b": 1}, writer="x")
    world.desire({"b": 2}, writer="x")
    outcome = world.desire({"a": 9, "b": 9}, writer="y", seen=1, time=NOW - 3600 * SECOND)
    assert outcome.changed
    assert world.twin.desired.value == {"a": 9, "b": 2}


def test_if_refuses_what_was_decided_on_an_older_section() -> None:
    """And a version that does not exist yet; the other section does not matter."""
    world = World()
    world.desire({"mode": 1})
    world.send({"on": True})
    world.send({"on": False})
    assert world.desire({"mode": 2}, if_version=1).refusal is None
    for wrong in (3, 99):
        assert world.desire({"mode": 3}, if_version=wrong).refusal == Refusal(
            409,
            "version_mismatch",
            f"the section last changed at version 4 and the twin is at 4, but $.if is {wrong}: "
            "get the twin, and decide again",
        )
    assert world.twin.desired.value == {"mode": 2}
    assert World().desire({"x": 1}, if_version=0).changed


def test_a_refusal_with_seq_counts_as_received_and_its_repeat_is_refused_alike() -> None:
    """Nothing visible changes, the memory of it is stored."""
    world = World()
    world.send({"on": True}, seq=1)
    refused = world.send({}, seq=2, refusal=Refusal(400, "too_deep", "…"))
    assert (refused.refusal, refused.store, refused.changed) == (
        Refusal(400, "too_deep", "…"),
        True,
        False,
    )
    again = world.send({}, seq=2, refusal=Refusal(400, "too_deep", "…"))
    assert again.duplicate
    assert again.refusal == refused.refusal
    assert world.send({"on": False}, seq=3).changed
    assert world.twin.writers["reported", "lamp-1"].boots[-1].gaps == ()
    for seq in range(4, 4 + 2 * REFUSALS_PER_TWIN):
        world.send({}, seq=seq, refusal=Refusal(400, "too_deep", "…"))
    assert len(world.twin.refusals) == REFUSALS_PER_TWIN


def test_a_retained_report_is_not_new_again_at_every_reconnect() -> None:
    """The same flagged message is dropped, another one is taken."""
    world = World()
    world.send({"on": True}, retained=True)
    world.send({"on": False})
    assert world.send({"on": True}, retained=True) == Outcome(2, duplicate=True)
    assert world.send({"on": True, "level": 1}, retained=True).changed
    assert world.reported == {"on": True, "level": 1}


def test_a_twin_at_its_limit_refuses_growth_and_stays_as_it_was() -> None:
    """413 names the size and the limit; shrinking is always allowed."""
    world = World(Limits(twin_bytes=1200))
    world.send({"text": "x" * 900, "old": 1})
    before = world.twin.document()
    refusal = world.send({"more": "y" * 400, "old": 2}).refusal
    assert refusal is not None
    assert (refusal.code, refusal.error) == (413, "twin_too_large")
    assert "1200" in refusal.message
    assert same(world.twin.document(), before)
    assert world.send({"old": 3}).changed
    assert world.send({"text": None}).changed
    assert world.send({"more": "y" * 400}).changed


def test_full_replaces_the_section() -> None:
    """What it does not name is removed; the other section stays."""
    world = World()
    world.send({"a": 1, "b": 2})
    world.desire({"a": 3})
    outcome = world.send({"b": 2, "c": 4}, full=True)
    assert outcome.change is not None
    assert outcome.change.forward == {"a": None, "c": 4}
    assert world.twin.document()["desired"] == {"a": 3}
    assert world.reported == {"b": 2, "c": 4}


def test_versions_only_grow_when_the_clock_is_set_back() -> None:
    """And what arrives later still wins."""
    world = World()
    world.send({"on": True})
    world.clock -= 365 * 86_400 * SECOND
    assert world.send({"on": False}).version == 2
    assert world.reported == {"on": False}
    assert world.twin.at > NOW


def test_tombstones_are_forgotten_after_their_time() -> None:
    """And the horizon says up to which version something was forgotten."""
    world = World(Limits(tombstone_ttl_us=10 * SECOND))
    world.send({"a": 1, "b": 1})
    world.send({"a": None})
    assert world.twin.reported.tombstones
    world.clock += 60 * SECOND
    world.send({"b": 2})
    assert not world.twin.reported.tombstones
    assert world.twin.horizon == 2
    assert world.reported == {"b": 2}


def test_a_tombstone_is_kept_for_exactly_its_time() -> None:
    """To the microsecond."""
    world = World(Limits(tombstone_ttl_us=10 * SECOND))
    world.send({"a": None})
    removed = world.clock
    for age, kept in ((10 * SECOND, True), (10 * SECOND + 1, False)):
        world.clock = removed + age - SECOND
        world.send({"b": age})
        assert (("a",) in world.twin.reported.tombstones) is kept


def test_a_whole_section_that_was_replaced_is_forgotten_after_its_time() -> None:
    """The horizon is then the version of `full`."""
    world = World(Limits(tombstone_ttl_us=10 * SECOND))
    world.send({"a": 1, "b": 1})
    world.send({"b": 2}, full=True)
    world.send({"b": 3}, full=True)
    world.clock += 60 * SECOND
    world.send({"b": 4})
    assert (world.twin.reported.root, world.twin.horizon) == (None, 3)


def test_any_order_of_arrival_ends_in_the_same_twin() -> None:
    """Two writers with clocks: whoever is later by the clock wins, whoever comes first."""
    messages = [
        ("a", {"x": 1, "y": {"p": 1}}, 1),
        ("b", {"x": 2}, 2),
        ("a", {"y": 7}, 3),
        ("b", {"y": {"q": 2}}, 4),
    ]
    ends = []
    for order in (messages, messages[::-1], messages[1::-1] + messages[:1:-1]):
        world = World()
        for writer, patch, second in order:
            world.desire(patch, writer=writer, time=NOW + second - 3600 * SECOND)
        ends.append(world.twin.desired.value)
    assert ends == [{"x": 2, "y": {"q": 2}}] * 3


def test_what_the_broker_delivers_again_ends_the_same_with_and_without_seq() -> None:
    """Although only the numbered message is known by its number (invariant 3)."""
    world = World()
    for again in (False, True):
        first = world.desire({"v": 1}, writer="a", packet_id=7, repeated=again)
        second = world.desire({"v": 2}, writer="b", packet_id=8, repeated=again, boot="b", seq=1)
        assert (first.duplicate, second.duplicate) == (again, again)
        assert not again or first == second == Outcome(2, duplicate=True)
        assert world.twin.desired.value == {"v": 2}


def test_the_same_content_under_another_packet_id_is_another_message() -> None:
    """On, off, on: the last one was delivered again, but had never been processed."""
    world = World()
    for packet_id, on in ((1, True), (2, False)):
        world.send({"on": on}, packet_id=packet_id)
    for packet_id, on in ((1, True), (2, False), (3, True)):
        world.send({"on": on}, packet_id=packet_id, repeated=True)
    assert world.reported == {"on": True}


def test_a_boot_without_a_number_numbers_nothing() -> None:
    """The broker's repeat is known by how it was delivered."""
    world = World()
    world.send({"on": 1}, boot="b", packet_id=7)
    assert world.send({"on": 1}, boot="b", packet_id=7, repeated=True).duplicate
    assert world.twin.writers == {}


def test_a_retained_message_that_is_refused_is_remembered() -> None:
    """It would come again with every subscription."""
    world = World()
    refusal = Refusal(400, "too_deep", "…")
    assert world.send({}, retained=True, refusal=refusal) == Outcome(0, store=True, refusal=refusal)
    assert world.send({}, retained=True, refusal=refusal) == Outcome(0, duplicate=True)


def test_what_is_remembered_of_retained_messages_is_short() -> None:
    """Eight bytes for each topic; it is stored, and so never called otherwise."""
    world = World()
    world.send({"on": True}, retained=True)
    delete(world.twin, "app", NOW * 2, b"", Delivery(retained=True))
    digests = world.twin.retained
    assert list(digests) == [("reported", "lamp-1"), ("delete", "app")]
    assert [len(digest) for digest in digests.values()] == [8, 8]


def test_a_delivery_of_one_section_is_no_repeat_of_the_other_s() -> None:
    """Packet ids are used again as soon as they are free."""
    world = World()
    world.send({"v": 1}, writer="w", packet_id=7)
    assert world.desire({"v": 1}, "w", packet_id=7, repeated=True).changed


def test_a_refusal_belongs_to_one_life_of_a_boot() -> None:
    """A device that forgot uses the number again, and is answered for the new message."""
    world = World()
    world.send({"a": 1}, seq=1)
    world.send({}, seq=2, refusal=Refusal(400, "too_deep", "…"))
    world.send({"a": 2}, seq=1)
    assert world.send({"a": 3}, seq=2).changed
    repeat = world.send({"a": 3}, seq=2)
    assert (repeat.duplicate, repeat.refusal) == (True, None)


def test_a_packet_id_that_is_used_again_makes_no_repeat_of_an_older_message() -> None:
    """Brokers that give the lowest free id use it for every message of a quiet session."""
    world = World()
    world.send({"on": True}, packet_id=1)
    world.send({"on": False}, packet_id=1)

    # It had arrived, and was lost with the connection before it was processed.
    assert world.send({"on": True}, packet_id=1, repeated=True).changed

    assert world.send({"on": True}, packet_id=1, repeated=True).duplicate


def test_every_delivery_is_known_again_and_each_by_its_own_packet_id() -> None:
    """The newest, one in the middle, and the oldest that is remembered."""
    world = World()
    for packet_id in (7, 8, 9):
        world.send({"n": packet_id}, packet_id=packet_id)

    for packet_id in (9, 8, 7):
        assert world.send({"n": packet_id}, packet_id=packet_id, repeated=True).duplicate
    assert not world.send({"n": 9}, packet_id=6, repeated=True).duplicate
