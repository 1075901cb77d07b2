"""Publishes that wait for their acknowledgement, and those that are too large to send."""

from __future__ import annotations

import pytest

from bridge.errors import LinkError, LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import MAXIMUM_PACKET_IDS, Publication
from bridge.link.publish_window import PUBLISH_OVERHEAD_BYTES, PublishWindow, too_large


class _Answers:
    """What the senders of some publishes were told, by topic."""

    def __init__(self, window: PublishWindow) -> None:
        self.of: dict[str, LinkError | None] = {}
        self._window = window

    def send(self, topic: str) -> int:
        """Enter a publish in the window; returns its packet id."""
        packet_id = self._window.next_packet_id()

        def answered(error: LinkError | None) -> None:
            assert topic not in self.of
            self.of[topic] = error

        self._window.add(packet_id, Publication(topic, b""), answered)
        return packet_id


def test_a_full_window_takes_no_more() -> None:
    """Until one is acknowledged."""
    window = PublishWindow(1)
    window.require_slot()
    packet_id = _Answers(window).send("a")
    assert window.slots == 0
    with pytest.raises(PublishWindowFull) as caught:
        window.require_slot()
    assert caught.value.hint

    window.acknowledged(packet_id, None)

    window.require_slot()


def test_each_acknowledgement_goes_to_its_publish() -> None:
    """In whatever order they come; an unknown one is nobody's."""
    window = PublishWindow(3)
    answers = _Answers(window)
    _, second, third = (answers.send(topic) for topic in "abc")

    window.acknowledged(second, None)
    window.acknowledged(third, "Not authorized")
    window.acknowledged(9, None)

    assert answers.of.keys() == {"b", "c"}
    assert answers.of["b"] is None
    error = answers.of["c"]
    assert isinstance(error, PublishRefused)
    assert (error.topic, error.reason) == ("c", "Not authorized")


def test_the_end_fails_all_that_wait() -> None:
    """Once each, and leaves an empty window."""
    window = PublishWindow(2)
    answers = _Answers(window)
    answers.send("a")
    answers.send("b")

    window.fail_all(LinkLost("gone", hint="wait"))
    window.fail_all(LinkLost("again"))

    errors = list(answers.of.values())
    assert len(errors) == 2
    assert all(isinstance(error, LinkLost) and error.message == "gone" for error in errors)
    assert window.slots == 2


def test_a_packet_id_in_flight_is_not_given_again() -> None:
    """After all ids have been used once, those that still wait are passed over."""
    window = PublishWindow(2)
    waiting = _Answers(window).send("a")

    given = {window.next_packet_id() for _ in range(MAXIMUM_PACKET_IDS - 1)}

    assert given == set(range(1, MAXIMUM_PACKET_IDS + 1)) - {waiting}
    assert window.next_packet_id() == waiting + 1


def test_what_the_broker_takes_may_be_less_than_what_is_in_flight() -> None:
    """A new connection may grant less: then nothing more is sent, and nothing is forgotten."""
    window = PublishWindow(3)
    answers = _Answers(window)
    ids = [answers.send(topic) for topic in "abc"]

    window.limit_to(1)

    assert window.slots == 0
    assert window.packet_ids() == ids
    topics = [publication.topic for i in ids if (publication := window.publication(i))]
    assert topics == ["a", "b", "c"]
    for packet_id in ids:
        assert window.slots == 0
        window.acknowledged(packet_id, None)
    assert window.slots == 1
    window.limit_to(9)
    assert window.slots == 3


def test_what_the_broker_takes_is_counted_with_all_that_is_in_the_packet() -> None:
    """Topic, payload and properties: just within the maximum, and just above."""
    publication = Publication("topic", b"payload", False, "type", b"data")
    size_bytes = len(b"topicpayloadtypedata") + PUBLISH_OVERHEAD_BYTES

    assert too_large(publication, size_bytes) is None
    refusal = too_large(publication, size_bytes - 1)
    assert refusal is not None
    assert str(size_bytes) in refusal.reason


def test_a_broker_without_a_maximum_takes_everything() -> None:
    """As MQTT says of one that does not name any."""
    assert too_large(Publication("t", b"x" * 10_000_000), None) is None
