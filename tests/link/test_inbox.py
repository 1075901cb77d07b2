"""The queue of what has arrived."""

from __future__ import annotations

import asyncio
import time

import pytest

from bridge.errors import LinkLost
from bridge.link.base import Message
from bridge.link.inbox import WAITING_QOS1_MAXIMUM, Inbox
from tests.link.owned_link import within

TOPIC_BYTES = len("in/a")


def message(payload: bytes = b"x", qos: int = 1) -> Message:
    """Return a message; its packet id does not matter here."""
    return Message("in/a", payload, qos, False, 1, 1)


async def test_take_waits_for_a_message() -> None:
    """Nothing is polled: it is woken by what arrives."""
    inbox = Inbox(10)
    taking = asyncio.create_task(inbox.take(10, 10))
    await asyncio.sleep(0)
    assert not taking.done()

    inbox.put(message())

    assert await within(taking) == [message()]


async def test_a_cancelled_take_loses_nothing() -> None:
    """Whoever gives up waiting leaves what comes to the next."""
    inbox = Inbox(10)
    taking = asyncio.create_task(inbox.take(10, 10))
    await asyncio.sleep(0)
    inbox.put(message())
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking

    assert await within(inbox.take(10, 10)) == [message()]


async def test_qos_0_is_dropped_beyond_its_bound_and_qos_1_is_not() -> None:
    """The bound is of QoS 0 alone, and room that is made is used again."""
    inbox = Inbox(2)
    for qos in (0, 0, 0, 1, 1, 1):
        assert inbox.put(message(qos=qos))

    assert [m.qos for m in await inbox.take(10, 10)] == [0, 0, 1, 1, 1]
    assert inbox.dropped_qos0 == 1
    inbox.put(message(qos=0))
    assert len(await inbox.take(10, 10)) == 1


async def test_qos_1_beyond_all_packet_ids_is_refused() -> None:
    """A broker that sends more than there can be is not one."""
    inbox = Inbox(1)
    for _ in range(WAITING_QOS1_MAXIMUM):
        assert inbox.put(message())
    inbox.put(message(qos=0))

    assert not inbox.put(message())

    await inbox.take(1, 10)
    assert inbox.put(message())


async def test_waiting_bytes_are_bounded() -> None:
    """QoS 1 is refused and QoS 0 dropped where they would grow too large together."""
    inbox = Inbox(10, bytes_maximum=10 + 2 * TOPIC_BYTES)
    assert inbox.put(message(b"x" * 6))

    assert not inbox.put(message(b"x" * 5))
    assert inbox.put(message(b"x" * 5, qos=0))
    assert inbox.dropped_qos0 == 1
    assert inbox.put(message(b"x" * 4))


async def test_a_message_larger_than_all_may_be_together_is_taken_alone() -> None:
    """Refused, it would come again for ever."""
    inbox = Inbox(10, bytes_maximum=10)

    assert inbox.put(message(b"x" * 100))

    assert not inbox.put(message())
    assert len(await inbox.take(10, 10)) == 1
    assert inbox.put(message())


async def test_discarding_leaves_qos_0_and_its_counts() -> None:
    """What the broker delivers again goes; bytes and numbers are counted anew."""
    inbox = Inbox(2, bytes_maximum=10 + 2 * TOPIC_BYTES)
    inbox.put(message(b"x" * 8, qos=1))
    inbox.put(message(b"yy", qos=0))

    inbox.discard_unacknowledged()

    assert inbox.describe() == f"1 messages of {2 + TOPIC_BYTES} bytes"
    assert inbox.put(message(b"x" * 8, qos=1))
    assert [m.payload for m in await inbox.take(10, 100)] == [b"yy", b"x" * 8]


async def test_after_the_end_what_waits_is_still_taken() -> None:
    """Then the first error is raised, as often as anybody asks."""
    inbox = Inbox(10)
    inbox.put(message())
    inbox.close(LinkLost("first"))
    inbox.close(LinkLost("second"))

    assert len(await inbox.take(10, 10)) == 1
    for _ in range(2):
        with pytest.raises(LinkLost, match="first"):
            await inbox.take(10, 10)


async def test_the_end_wakes_whoever_waits() -> None:
    """Also where nothing ever arrived."""
    inbox = Inbox(10)
    taking = asyncio.create_task(inbox.take(10, 10))
    await asyncio.sleep(0)

    inbox.close(LinkLost("over"))

    with pytest.raises(LinkLost):
        await within(taking)


async def test_it_is_full_at_twice_the_receive_maximum_and_says_when_there_is_room() -> None:
    """QoS 0 does not count: it is dropped where it is too much."""
    inbox = Inbox(10, receive_maximum=2)
    room: list[bool] = []
    inbox.on_room = lambda: room.append(inbox.is_full)
    for qos in (1, 0, 0, 1, 1):
        inbox.put(message(qos=qos))
        assert not inbox.is_full
    inbox.put(message())
    assert inbox.is_full

    assert len(await inbox.take(2, 100)) == 2
    assert room == [False]
    await inbox.take(9, 100)
    assert room == [False]


async def test_it_is_full_at_half_of_the_bytes_that_may_wait() -> None:
    """So that large payloads are held back before the connection has to end for them."""
    inbox = Inbox(10, receive_maximum=100, bytes_maximum=20 + 4 * TOPIC_BYTES)

    inbox.put(message(b"x" * 9))
    assert not inbox.is_full
    inbox.put(message(b"x"))

    assert inbox.is_full


async def test_beyond_what_is_full_there_is_a_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends before a message finds no room."""
    monkeypatch.setattr("bridge.link.inbox.RESERVE_QOS1_MAXIMUM", 5)
    inbox = Inbox(10, receive_maximum=2)
    for _ in range(4):
        assert inbox.has_reserve
        inbox.put(message())
    assert inbox.is_full
    assert inbox.has_reserve
    inbox.put(message())
    assert not inbox.has_reserve


async def test_everything_that_devices_can_make_long_counts() -> None:
    """Topics and what asks for a reply fill the memory as payloads do."""
    inbox = Inbox(10, bytes_maximum=100)
    inbox.put(message())
    long = message()._replace(topic="x" * 40, response_topic="y" * 40, correlation_data=b"z" * 40)

    assert not inbox.put(long)
    assert inbox.put(long._replace(correlation_data=None))


async def test_how_long_the_first_one_waited_is_known() -> None:
    """From when it came into an empty inbox; of what is left behind, from the take that left it."""
    inbox = Inbox(10)
    began = time.perf_counter()
    for _ in range(3):
        inbox.put(message())
    await asyncio.sleep(0.02)
    assert inbox.backlog[:2] == (3, 3 * (TOPIC_BYTES + 1))
    await inbox.take(2, 1000)
    left = time.perf_counter()
    waited_s = inbox.backlog.waited_s
    assert 0.02 <= waited_s <= left - began
    await asyncio.sleep(0.01)
    await inbox.take(2, 1000)
    assert 0.01 <= inbox.backlog.waited_s <= time.perf_counter() - left + waited_s
    assert inbox.backlog[:2] == (0, 0)
