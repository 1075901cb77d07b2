"""What only MQTT 5 has, with brokers that do what a real one does not do on demand."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from bridge.errors import LinkLost, PublishRefused
from bridge.link.base import Publication
from tests.link.conftest import OpenLink, mqtt5_only
from tests.link.owned_link import within
from tests.support import scripted_broker as script
from tests.support.scripted_broker import Packet, Peer, ScriptedBroker, first_connection

pytestmark = mqtt5_only

_DUP = 0x08
_RECEIVE_MAXIMUM_1 = b"\x21\x00\x01"
_TOPIC_ALIASES_2 = b"\x22\x00\x02"
_KEEP_ALIVE_1_S = b"\x13\x00\x01"


def _topic(publish: Packet) -> bytes:
    return publish.body[2 : 2 + int.from_bytes(publish.body[:2], "big")]


def _alias(publish: Packet) -> int | None:
    """Return the topic alias of a publish that has no other property."""
    start = 2 + len(_topic(publish)) + 2
    properties = publish.body[start + 1 : start + 1 + publish.body[start]]
    return int.from_bytes(properties[1:], "big") if properties[:1] == b"\x23" else None


async def test_what_is_sent_again_keeps_to_what_the_new_connection_takes(
    open_link: OpenLink,
) -> None:
    """With DUP and its own packet id, one after the other where only one may be in flight."""
    seen: list[list[Packet]] = [[], []]

    async def serve(peer: Peer, number: int) -> None:
        if number == 0:
            await peer.accept_all()
            seen[0] = [await peer.expect(script.PUBLISH) for _ in range(3)]
            return
        connect = await peer.accept(properties=_RECEIVE_MAXIMUM_1, session_present=True)
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, b"\x01"))
        for _ in range(4):
            publish = await peer.expect(script.PUBLISH)
            seen[1].append(publish)
            # Where it sent more than one, another would be here before this is answered.
            await asyncio.sleep(0.05)
            peer.send(script.puback(publish.packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        futures = [owned.link.publish(Publication(f"out/{n}", b"x")) for n in range(3)]
        await owned.next_error()
        await owned.next_session()

        await within(asyncio.gather(*futures))
        await owned.publish("out/new")

    again = seen[1][:3]
    assert [p.packet_id for p in again] == [p.packet_id for p in seen[0]]
    assert [_topic(p) for p in again] == [b"out/0", b"out/1", b"out/2"]
    assert all(p.flags & _DUP for p in again)
    assert not seen[1][3].flags & _DUP


async def test_topics_are_sent_by_number_where_the_broker_allows(open_link: OpenLink) -> None:
    """Retained ones, the first time with their name; beyond what is allowed always with it."""
    published: list[Packet] = []

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=_TOPIC_ALIASES_2)
        for _ in range(7):
            published.append(await peer.expect(script.PUBLISH))
            peer.send(script.puback(published[-1].packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        await owned.publish("once")
        for topic in ("a", "b", "c", "a", "c", "b"):
            await owned.publish(topic, retain=True)

    assert [(_topic(p), _alias(p)) for p in published] == [
        (b"once", None),
        (b"a", 1),
        (b"b", 2),
        (b"c", None),
        (b"", 1),
        (b"c", None),
        (b"", 2),
    ]


async def test_a_topic_that_was_refused_has_no_number(open_link: OpenLink) -> None:
    """Else it would stand for a name that the broker has never heard."""
    published: list[Packet] = []

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=_TOPIC_ALIASES_2)
        published.append(await peer.expect(script.PUBLISH))
        peer.send(script.puback(published[-1].packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        with pytest.raises(ValueError):
            owned.link.publish(Publication("a/+", b"x", retain=True))
        await owned.publish("a", retain=True)

    assert (_topic(published[0]), _alias(published[0])) == (b"a", 1)


async def test_the_keep_alive_that_the_broker_sets_is_kept_to(open_link: OpenLink) -> None:
    """It may want to hear more often than we would say something."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=_KEEP_ALIVE_1_S)
        await peer.expect(script.PINGREQ)
        asked.set()
        await peer.gone()

    asked = asyncio.Event()
    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port, keepalive_s=60)
        await owned.start()

        await within(asked.wait())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x30\xff\xff\xff\x7f", "told to send at most"),
        (script.packet(3, script.text("in/a") + b"\0\1\0", flags=4), "QoS 2"),
        (script.packet(15, b"\0\0"), "AUTH"),
        (script.packet(11, b"\0\1\0\0"), "UNSUBACK"),
    ],
)
async def test_what_the_broker_was_not_asked_for_ends_the_connection(
    open_link: OpenLink, data: bytes, said: str
) -> None:
    """A packet above our maximum, a publish of QoS 2, an answer to nothing."""

    async def send(peer: Peer) -> None:
        await peer.accept_all()
        await connected.wait()
        peer.send(data)
        await peer.gone()

    connected = asyncio.Event()
    async with ScriptedBroker(first_connection(send)) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        connected.set()

        error = await owned.next_error()

        assert isinstance(error, LinkLost)
        assert said in error.message
        await owned.next_session()


async def test_more_than_the_receive_maximum_waits_and_is_not_punished(
    open_link: OpenLink,
) -> None:
    """Mosquitto before 2.0.13 sends more than it was allowed to."""
    sent = [script.publish("in/a", str(n).encode(), n) for n in range(1, 51)]

    async def flood(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(*sent)
        await peer.gone()

    async with ScriptedBroker(flood) as broker:
        owned = open_link(broker.host, broker.port, receive_maximum=10)
        await owned.start()

        assert [int(m.payload) for m in await owned.take(50)] == list(range(1, 51))
        assert owned.errors.empty()


async def test_an_acknowledgement_behind_more_than_the_inbox_holds_is_read(
    open_link: OpenLink,
) -> None:
    """Else who waits for it would make no room, and the broker's backlog would never end."""
    sent = [script.publish("in/a", bytes(1024), n) for n in range(1, 8001)]

    async def flood(peer: Peer, number: int) -> None:
        connect = await peer.accept(properties=_RECEIVE_MAXIMUM_1)
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, b"\x01"))
        first = await peer.expect(script.PUBLISH)
        peer.send(*sent, script.puback(first.packet_id))
        await peer.gone()

    async with ScriptedBroker(flood) as broker:
        owned = open_link(broker.host, broker.port, receive_maximum=10)
        await owned.start()

        await within(owned.link.publish(Publication("out/a", b"x")))

        assert len(await owned.take(8000)) == 8000
        assert owned.errors.empty()


async def test_a_packet_larger_than_a_read_is_put_together(open_link: OpenLink) -> None:
    """And what comes before and after it, in whatever pieces."""
    large = b"x" * 900_000
    packets = [script.publish("in/a", p, n) for n, p in enumerate((b"1", large, b"2"), start=1)]

    async def send(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(*packets)
        await peer.gone()

    async with ScriptedBroker(send) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        assert [m.payload for m in await owned.take(3)] == [b"1", large, b"2"]


@pytest.mark.parametrize("ends", ["by what it sent", "by its owner"])
async def test_what_comes_after_the_end_of_a_connection_is_left_to_the_broker(
    open_link: OpenLink, ends: str
) -> None:
    """Taken now, it would come before what waited and was discarded, and comes again."""
    bad = script.packet(3, script.text("in/a") + b"\0\1\0", flags=4)

    async def send(peer: Peer) -> None:
        await peer.accept_all()
        await connected.wait()
        if ends == "by what it sent":
            peer.send(script.publish("in/a", b"1", 1), bad, script.publish("in/a", b"2", 2))
        else:
            peer.send(script.publish("in/a", b"2", 2))
        await peer.gone()

    connected = asyncio.Event()
    async with ScriptedBroker(first_connection(send)) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        if ends == "by its owner":
            owned.link.drop("the store is away")
        connected.set()
        await owned.next_error()
        await owned.next_session()

        await owned.expect_none()


async def test_what_has_become_too_large_is_refused_and_not_sent_again(
    open_link: OpenLink,
) -> None:
    """The broker would end each connection for it, for ever; what follows goes its way."""
    again: list[bytes] = []

    async def serve(peer: Peer, number: int) -> None:
        if number == 0:
            await peer.accept_all()
            for _ in range(2):
                await peer.expect(script.PUBLISH)
            return
        connect = await peer.accept(properties=b"\x27\0\0\0\x64", session_present=True)
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, b"\x01"))
        publish = await peer.expect(script.PUBLISH)
        again.append(_topic(publish))
        peer.send(script.puback(publish.packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        large = owned.link.publish(Publication("large", b"x" * 1000))
        small = owned.link.publish(Publication("small", b"x"))
        await owned.next_error()
        await owned.next_session()

        await within(small)
        with pytest.raises(PublishRefused):
            await within(large)
    assert again == [b"small"]


async def test_an_acknowledgement_of_nothing_releases_nothing(open_link: OpenLink) -> None:
    """Where one publish may be on its way, a PUBACK that nobody waits for makes no room."""
    seen: list[int] = []

    async def serve(peer: Peer, number: int) -> None:
        if number == 0:
            await peer.accept_all()
            for _ in range(2):
                await peer.expect(script.PUBLISH)
            return
        connect = await peer.accept(properties=_RECEIVE_MAXIMUM_1, session_present=True)
        subscribe = await peer.expect(script.SUBSCRIBE)
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, b"\x01"))
        first = await peer.expect(script.PUBLISH)
        peer.send(script.puback(60_000))
        # What it would make the link send has arrived before the answer to this.
        peer.send(script.publish("in/a", b"fence", 9))
        answer = await peer.read()
        seen.append(answer.kind)
        peer.send(script.puback(first.packet_id))
        second = await peer.expect(script.PUBLISH)
        peer.send(script.puback(second.packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        futures = [owned.link.publish(Publication(f"out/{n}", b"x")) for n in range(2)]
        await owned.next_error()
        await owned.next_session()
        owned.link.acknowledge(await owned.take(1))

        await within(asyncio.gather(*futures))
    assert seen == [script.PUBACK]


async def test_a_session_that_is_kept_for_less_than_was_asked_is_reported(
    open_link: OpenLink,
) -> None:
    """Whoever counts on it must know how long the bridge may be away."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=b"\x11\0\0\0\x3c")
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        with capture_logs() as lines:
            await open_link(broker.host, broker.port, session_expiry_s=3600).start()

    (line,) = (line for line in lines if line["log_level"] == "warning")
    assert (line["granted_s"], line["asked_s"]) == (60, 3600)
