"""Reports that are missing, and writers that are forgotten."""

from __future__ import annotations

from bridge.core.limits import BOOTS_PER_WRITER, GAPS_PER_BOOT, WRITERS_PER_TWIN, Limits
from bridge.core.reconcile import Outcome
from bridge.core.refusal import Refusal
from tests.core.world import World


def test_a_hole_is_open_until_it_is_filled() -> None:
    """With the numbers that are missing, first and last."""
    world = World()
    assert not world.send({"a": 1}, seq=1, boot="x").open_gap
    assert world.twin.open_gaps() is None
    assert world.send({"a": 2}, seq=5, boot="x").open_gap
    assert world.twin.open_gaps() == ("x", [(2, 4)])
    assert world.send({"a": 3}, seq=3, boot="x").open_gap
    assert world.twin.open_gaps() == ("x", [(2, 2), (4, 4)])
    world.send({"a": 3}, seq=2, boot="x")
    assert not world.send({"a": 3}, seq=4, boot="x").open_gap
    assert world.twin.open_gaps() is None


def test_what_is_missing_before_the_very_first_message_does_not_count() -> None:
    """It may have been for another bridge; after a restart of the device it does count."""
    world = World()
    assert not world.send({"a": 1}, seq=7, boot="x").open_gap
    assert world.send({"a": 2}, seq=3, boot="y").open_gap
    assert world.twin.open_gaps() == ("y", [(1, 2)])


def test_the_newest_boot_with_a_hole_is_told() -> None:
    """A hole of an older boot matters as long as nothing has closed it."""
    world = World()
    world.send({"a": 1}, seq=1, boot="x")
    world.send({"a": 1}, seq=3, boot="x")
    assert world.send({"a": 1}, seq=1, boot="y").open_gap
    assert world.twin.open_gaps() == ("x", [(2, 2)])
    world.send({"a": 1}, seq=4, boot="y")
    assert world.twin.open_gaps() == ("y", [(2, 3)])


def test_a_full_report_closes_what_lies_below_it() -> None:
    """In its boot and in older ones; what comes late from there is a repeat."""
    world = World()
    world.send({"a": 1}, seq=1, boot="x")
    world.send({"a": 1}, seq=3, boot="x")
    world.send({"a": 1}, seq=1, boot="y")
    world.send({"a": 1}, seq=3, boot="y")
    world.send({"a": 1}, seq=7, boot="y")
    outcome = world.send({"b": 1}, seq=5, boot="y", full=True)
    assert outcome.open_gap
    assert world.twin.open_gaps() == ("y", [(6, 6)])
    assert world.send({"a": 2}, seq=2, boot="x").duplicate
    assert world.send({"a": 2}, seq=4, boot="y").duplicate
    assert not world.send({"a": 2}, seq=6, boot="y").open_gap


def test_a_full_report_that_is_refused_closes_nothing() -> None:
    """Nor does one of an application close the device's."""
    world = World(Limits(keys=1))
    world.send({"a": 1}, seq=1)
    world.send({"a": 1}, seq=3)
    assert world.send({"a": 1, "b": 2}, seq=4, full=True).refusal is not None
    assert world.twin.open_gaps() == (0, [(2, 2)])
    world.desire({}, "anna", seq=9, full=True)
    assert world.twin.open_gaps() == (0, [(2, 2)])


def test_an_application_s_hole_asks_nobody() -> None:
    """Only the device can be asked for all it knows."""
    world = World()
    world.desire({"a": 1}, "anna", seq=1)
    assert not world.desire({"a": 1}, "anna", seq=3).open_gap
    assert world.twin.open_gaps() is None


def test_holes_are_bounded() -> None:
    """The oldest are given up."""
    world = World()
    for number in range(1, GAPS_PER_BOOT + 5):
        world.send({"a": 1}, seq=2 * number)
    gaps = world.twin.open_gaps()
    assert gaps is not None
    assert len(gaps[1]) == GAPS_PER_BOOT
    assert gaps[1][0] == (9, 9)


def test_a_forgotten_writer_begins_anew() -> None:
    """What it has written stays; a number that it had used is a new message."""
    world = World()
    world.send({"a": 1}, seq=1)
    world.desire({"a": 1}, "lamp-1", seq=1)
    world.desire({"b": 1}, "anna", seq=1)
    assert not world.twin.forget_writer("nobody")
    assert world.twin.forget_writer("lamp-1", "desired")
    assert set(world.twin.writers) == {("reported", "lamp-1"), ("desired", "anna")}
    assert world.twin.forget_writer("lamp-1")
    assert set(world.twin.writers) == {("desired", "anna")}
    assert world.send({"a": 2}, seq=1).changed


def test_why_a_forgotten_writer_was_refused_is_forgotten_too() -> None:
    """And no other writer's refusal."""
    world = World()
    refusal = Refusal(400, "too_deep", "…")
    for writer in ("anna", "bert"):
        world.desire({}, writer, seq=1, refusal=refusal)
    world.twin.forget_writer("anna")
    assert [(section, writer) for section, writer, *_ in world.twin.refusals] == [
        ("desired", "bert")
    ]
    assert world.desire({}, "bert", seq=1, refusal=refusal) == Outcome(
        0, duplicate=True, refusal=refusal
    )


def test_no_boot_is_given_a_number_again() -> None:
    """A sum is added up by boots, and a refusal is remembered by them."""
    world = World(policies={"reported.n": "sum"})
    world.send({"n": 100}, boot="a", seq=1)
    assert world.send({"n": "x"}, boot="a", seq=2).refusal is not None
    world.twin.forget_writer("lamp-1")
    world.send({"n": 5}, boot="b", seq=1)
    assert world.reported == {"n": 105}
    world.send({"n": 6}, boot="b", seq=2)
    again = world.send({"n": 6}, boot="b", seq=2)
    assert (again.duplicate, again.refusal, world.reported) == (True, None, {"n": 106})


def test_a_writer_that_was_evicted_goes_on_adding_up() -> None:
    """Many others have numbered their messages since; its boots stay what they were."""
    world = World(policies={"desired.n": "sum"})
    for boot in range(BOOTS_PER_WRITER + 1):
        world.desire({"n": 10}, "door", boot=boot, seq=1)
    for number in range(WRITERS_PER_TWIN):
        world.desire({"x": number}, f"w{number}", seq=1)
    assert ("desired", "door") not in world.twin.writers
    for total in (1, 2, 3):
        world.desire({"n": total}, "door", boot="new", seq=total)
        assert world.desired["n"] == 10 * (BOOTS_PER_WRITER + 1) + total
