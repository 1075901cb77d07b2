"""Repeats: a message counts once, whenever and however often it arrives."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.limits import BOOTS_PER_WRITER, GAPS_PER_BOOT
from bridge.core.update import Boot
from bridge.core.writers import Gap, Place, Writer
from tests.support.examples import examples


def receive(writer: Writer, boot: Boot, seq: int, stamp: int, content: bytes = b"") -> Place:
    """Locate a message and, if it is new, record it with a stamp clamped as the rule says."""
    place = writer.locate(boot, seq, lambda: content)
    if not place.duplicate:
        clamped = max(stamp, place.floor)
        if place.ceiling is not None:
            clamped = min(clamped, place.ceiling)
        writer.record(place, boot, seq, clamped, lambda: content)
    return place


def test_a_message_in_order_is_new_and_comes_after_its_predecessor() -> None:
    """The predecessor's stamp is the floor."""
    writer = Writer()
    assert receive(writer, "b", 1, 100) == Place(False, 1, 0, None, None)
    second = receive(writer, "b", 2, 200)
    assert (second.duplicate, second.order, second.floor, second.ceiling) == (False, 1, 100, None)


def test_a_repeat_is_a_duplicate() -> None:
    """At or below the highest, and in no gap."""
    writer = Writer()
    for seq in (1, 2, 3):
        receive(writer, "b", seq, seq * 100)
    [record] = writer.boots
    for seq in (1, 2, 3):
        assert receive(writer, "b", seq, 900) == Place(True, 1, 0, None, record)
    assert Writer(writer.boots).locate("b", 3, bytes).duplicate


def test_a_late_message_falls_into_its_gap_once() -> None:
    """Between the stamps on both sides; afterwards it is a duplicate."""
    writer = Writer()
    receive(writer, "b", 1, 100)
    receive(writer, "b", 5, 500)
    late = receive(writer, "b", 3, 900)
    assert (late.duplicate, late.floor, late.ceiling) == (False, 100, 500)
    assert writer.boots[-1].gaps == (Gap(2, 2, 100, 500), Gap(4, 4, 500, 500))
    assert receive(writer, "b", 3, 900).duplicate
    assert not receive(writer, "b", 2, 900).duplicate
    assert not receive(writer, "b", 4, 900).duplicate
    assert writer.boots[-1].gaps == ()


def test_the_first_message_of_a_boot_may_be_overtaken() -> None:
    """What comes before the first one known is not taken for a repeat."""
    writer = Writer()
    receive(writer, "b", 3, 300)
    first = receive(writer, "b", 1, 900, b"one")
    assert (first.duplicate, first.ceiling) == (False, 300)
    assert receive(writer, "b", 1, 900, b"one").duplicate


def test_a_message_of_an_older_boot_stays_before_the_newer_boot() -> None:
    """Its ceiling is the lowest stamp of the boot after it."""
    writer = Writer()
    receive(writer, "one", 1, 100)
    receive(writer, "two", 2, 200)
    late = receive(writer, "one", 2, 900)
    assert (late.duplicate, late.order, late.floor, late.ceiling) == (False, 1, 100, 200)
    lower = receive(writer, "two", 1, 150)
    assert (lower.floor, lower.ceiling) == (200, 200)
    receive(writer, "three", 1, 300)
    assert writer.locate("one", 3, bytes).ceiling == 200


def test_an_overtaken_first_message_is_where_its_boot_begins() -> None:
    """What comes late of the boot before stays before it."""
    writer = Writer()
    receive(writer, "one", 1, 100)
    receive(writer, "two", 2, 200)
    receive(writer, "two", 1, 150)
    assert writer.locate("one", 2, bytes).ceiling == 150


def test_a_device_that_forgot_begins_a_new_life_with_seq_1() -> None:
    """The same boot and seq 1 with other content is no repeat; with the same content it is."""
    writer = Writer()
    for seq in (1, 2, 3):
        receive(writer, 0, seq, seq, b"%d" % seq)
    assert receive(writer, 0, 1, 50, b"1").duplicate
    reborn = receive(writer, 0, 1, 50, b"other")
    assert (reborn.duplicate, reborn.order, reborn.floor) == (False, 2, 3)
    assert not receive(writer, 0, 2, 60, b"2").duplicate
    assert receive(writer, 0, 2, 60, b"2").duplicate


def test_what_the_broker_repeats_of_an_earlier_life_begins_no_new_one() -> None:
    """A device's own seq 1 with that content does: it may have come back to it."""
    writer = Writer()
    receive(writer, 0, 1, 1, b"one")
    receive(writer, 0, 1, 2, b"two")
    assert writer.locate(0, 1, lambda: b"one", repeated=True).duplicate
    assert not writer.locate(0, 1, lambda: b"one").duplicate


def test_a_first_message_that_was_given_up_is_a_repeat() -> None:
    """A full report had closed the gap that it would have filled."""
    writer = Writer()
    place = writer.locate("b", 2, bytes)
    writer.record(place, "b", 2, 200, bytes, full=True)
    assert writer.boots[0].first_digest == b""
    assert writer.locate("b", 1, lambda: b"one").duplicate


def test_a_number_and_a_string_are_different_boots() -> None:
    """`7` and `"7"`."""
    writer = Writer()
    receive(writer, 7, 1, 1)
    assert not receive(writer, "7", 1, 2).duplicate


def test_what_is_remembered_is_bounded() -> None:
    """The oldest boots and the oldest gaps go first."""
    writer = Writer()
    for boot in range(BOOTS_PER_WRITER + 5):
        receive(writer, f"boot-{boot}", 1, boot)
    assert len(writer.boots) == BOOTS_PER_WRITER
    assert writer.boots[-1].order == BOOTS_PER_WRITER + 5
    for seq in range(2, 2 + 2 * (GAPS_PER_BOOT + 3), 2):
        receive(writer, "gappy", seq, seq)
    assert len(writer.boots[-1].gaps) == GAPS_PER_BOOT
    receive(writer, "gappy", 2**40, 10_000)
    assert len(writer.boots[-1].gaps) == GAPS_PER_BOOT


@given(
    st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 7)), max_size=25),
    st.randoms(),
)
@examples(500)
def test_every_message_counts_exactly_once_and_stamps_follow_the_sequence(
    arrivals: list[tuple[str, int]], clock: random.Random
) -> None:
    """Whatever the order of arrival: later in the sequence is never an older stamp."""
    writer = Writer()
    stamps: dict[tuple[int, int], int] = {}
    for boot, seq in arrivals:
        content = f"{boot}{seq}".encode()
        place = writer.locate(boot, seq, lambda content=content: content)
        order = next((r.order for r in writer.boots if r.boot == boot), None)
        assert place.duplicate == ((order, seq) in stamps)
        if place.duplicate:
            continue
        stamp = max(clock.randrange(1000), place.floor)
        stamp = stamp if place.ceiling is None else min(stamp, place.ceiling)
        assert place.ceiling is None or place.floor <= place.ceiling
        writer.record(place, boot, seq, stamp, lambda content=content: content)
        stamps[place.order, seq] = stamp
    in_order = [stamps[position] for position in sorted(stamps)]
    assert in_order == sorted(in_order)
