"""What the broker has acknowledged, until it is written down."""

from __future__ import annotations

from bridge.core.topics import TwinKey
from bridge.service.acknowledged import Acknowledged

A, B = TwinKey("a"), TwinKey("b")


def test_what_was_acknowledged_is_handed_out_once_it_has_settled() -> None:
    """Not at the next call, but at the one after it."""
    acknowledged = Acknowledged()
    acknowledged.add(A, 3)

    assert acknowledged.take_settled(()) == []
    assert acknowledged.take_settled(()) == [(A, 3)]
    assert acknowledged.take_settled(()) == []
    assert not len(acknowledged)


def test_a_twin_that_goes_on_changing_is_not_handed_out() -> None:
    """Neither one that was acknowledged again, nor one of which a newer version is on its way."""
    acknowledged = Acknowledged()
    acknowledged.add(A, 1)
    acknowledged.add(B, 1)
    acknowledged.take_settled(())
    acknowledged.add(A, 2)

    assert acknowledged.take_settled({B}) == []

    # B comes back with the acknowledgement of its newer version.
    assert acknowledged.take_settled(()) == [(A, 2)]


def test_at_the_end_everything_is_handed_out_at_its_newest() -> None:
    """Settled or not."""
    acknowledged = Acknowledged()
    acknowledged.add(A, 1)
    acknowledged.add(B, 1)
    acknowledged.take_settled(())
    acknowledged.add(A, 2)

    assert sorted(acknowledged.take_all()) == [(A, 2), (B, 1)]
    assert not len(acknowledged)


def test_what_could_not_be_written_down_is_kept() -> None:
    """And does not take back what came meanwhile."""
    acknowledged = Acknowledged()
    acknowledged.give_back([(A, 1), (B, 1)])
    acknowledged.add(A, 2)

    assert sorted(acknowledged.take_all()) == [(A, 2), (B, 1)]
