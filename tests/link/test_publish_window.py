"""Publishes that wait for their acknowledgement, and those that are too large to send."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import Publication
from bridge.link.publish_window import PUBLISH_OVERHEAD_BYTES, PublishWindow, too_large


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def test_a_full_window_takes_no_more() -> None:
    """Until one is acknowledged."""
    window = PublishWindow(1)
    window.require_slot()
    window.add(1, "a", _future())
    assert window.slots == 0
    with pytest.raises(PublishWindowFull) as caught:
        window.require_slot()
    assert caught.value.hint

    window.acknowledged(1, None)

    window.require_slot()


async def test_each_acknowledgement_goes_to_its_publish() -> None:
    """In whatever order they come; an unknown one is nobody's."""
    window = PublishWindow(3)
    futures = {packet_id: _future() for packet_id in (1, 2, 3)}
    for packet_id, future in futures.items():
        window.add(packet_id, f"t/{packet_id}", future)

    window.acknowledged(2, None)
    window.acknowledged(3, "Not authorized")
    window.acknowledged(9, None)

    assert not futures[1].done()
    assert futures[2].result() is None
    error = futures[3].exception()
    assert isinstance(error, PublishRefused)
    assert (error.topic, error.reason) == ("t/3", "Not authorized")


async def test_the_end_fails_all_that_wait_and_spares_the_cancelled() -> None:
    """And leaves an empty window."""
    window = PublishWindow(2)
    waiting, cancelled = _future(), _future()
    window.add(1, "a", waiting)
    window.add(2, "a", cancelled)
    cancelled.cancel()

    window.fail_all(LinkLost("gone"))

    assert isinstance(waiting.exception(), LinkLost)
    assert cancelled.cancelled()
    assert window.slots == 2


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
