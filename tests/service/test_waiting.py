"""What waits for the broker is bounded, in number and bytes."""

from __future__ import annotations

from bridge.link.base import Publication
from bridge.service.waiting import WaitingMessages


def test_the_oldest_go_when_there_are_too_many() -> None:
    """And it is told how many."""
    waiting = WaitingMessages(3, 1000)
    dropped = [waiting.add(Publication(str(number), b"x")) for number in range(5)]
    assert dropped == [0, 0, 0, 1, 1]
    assert [waiting.take().topic for _ in range(len(waiting))] == ["2", "3", "4"]
    assert waiting.size_bytes == 0


def test_the_oldest_go_when_they_are_too_large() -> None:
    """As many as have to."""
    waiting = WaitingMessages(100, 10)
    for number in range(3):
        assert waiting.add(Publication(str(number), b"xxx")) == 0
    assert waiting.add(Publication("large", b"x" * 7)) == 2
    assert (len(waiting), waiting.size_bytes) == (2, 10)
