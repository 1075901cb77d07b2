"""Contract: brokers that end connections, set limits, or send what is not MQTT."""

from __future__ import annotations

import asyncio

import pytest

from bridge.errors import LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import Publication
from tests.link.conftest import OpenLink, Variant, mqtt5_only
from tests.link.owned_link import texts, within
from tests.support import scripted_broker as script
from tests.support.scripted_broker import Peer, ScriptedBroker, first_connection

_ENDS = [(0x8B, "server shutting down", True), (0x8E, "session taken over", False)]


@mqtt5_only
@pytest.mark.parametrize(("code", "name", "recoverable"), _ENDS)
async def test_a_disconnect_from_the_broker_says_why(
    open_link: OpenLink, code: int, name: str, recoverable: bool
) -> None:
    """A shutdown passes; a session that was taken over is not fought for."""

    async def end(peer: Peer) -> None:
        await peer.accept_all()
        await connected.wait()
        peer.send(script.disconnect(code))
        await peer.gone()

    connected = asyncio.Event()
    async with ScriptedBroker(first_connection(end)) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        connected.set()

        error = await owned.next_error()

        assert isinstance(error, LinkLost)
        assert (error.message.endswith(f": {name}"), error.recoverable) == (True, recoverable)
        if recoverable:
            assert (await owned.next_session()).generation == 2
        else:
            with pytest.raises(LinkLost):
                await within(owned.link.receive(1, 1))
            assert broker.connections == 1


# What no broker may send, where it is sent, and what is said about it.
_BROKEN = {
    "an alert of TLS": b"\x15\x03\x03\x00\x02\x02\x28",
    "a packet type that does not exist": b"\x00\x00",
    "a length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a publish of QoS 3": b"\x36\x08\x00\x04in/a\x00\x01\x00",
    "a publish without a topic": b"\x32\x01\x00",
    "a publish that ends in its topic": b"\x32\x04\x00\xffin",
    "a puback without a packet id": b"\x40\x01\x00",
    "a suback that is cut short": b"\x90\x01\x00",
    "a second connack": b"\x20\x03\x00\x00\x00",
}


@pytest.mark.parametrize("data", list(_BROKEN.values()), ids=list(_BROKEN))
async def test_broken_packets_end_the_connection_and_nothing_else(
    open_link: OpenLink, data: bytes
) -> None:
    """Whatever comes, the link says so and connects again."""

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
        assert "not MQTT" in error.message
        assert (await owned.next_session()).generation == 2


async def test_a_connection_that_ends_within_a_packet_is_made_again(
    open_link: OpenLink, variant: Variant
) -> None:
    """The half that came is forgotten with its connection."""
    level = 5 if variant.protocol == "5" else 4
    whole = script.publish("in/a", b"whole", 1, protocol_level=level)

    async def run(peer: Peer, number: int) -> None:
        await peer.accept_all()
        await connected.wait()
        if number == 0:
            peer.send(whole[:-2])
            return
        peer.send(whole)
        await peer.gone()

    connected = asyncio.Event()
    async with ScriptedBroker(run) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        connected.set()

        assert isinstance(await owned.next_error(), LinkLost)
        (message,) = await owned.take(1)
        assert (message.payload, message.generation) == (b"whole", 2)


async def test_packets_may_come_in_any_pieces(open_link: OpenLink, variant: Variant) -> None:
    """TCP keeps no boundaries: a byte at a time, or many packets at once."""
    level = 5 if variant.protocol == "5" else 4
    packets = [
        script.publish("in/a", str(n).encode() * 20, n, protocol_level=level) for n in range(1, 200)
    ]

    async def send(peer: Peer, number: int) -> None:
        await peer.accept_all()
        for byte in b"".join(packets[:3]):
            peer.send(bytes([byte]))
            await asyncio.sleep(0)
        peer.send(*packets[3:])
        await peer.gone()

    async with ScriptedBroker(send) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        messages = await owned.take(199)

        assert [message.packet_id for message in messages] == list(range(1, 200))
        assert texts(messages) == [str(n) * 20 for n in range(1, 200)]


# The codec of MQTT 5 complains loudly of such text before it refuses it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_topic_that_is_not_utf_8_is_passed_on_as_one_that_is_nobodys(
    open_link: OpenLink, variant: Variant
) -> None:
    """It can be refused and acknowledged; an error would bring it back for ever."""
    level = 5 if variant.protocol == "5" else 4

    async def send(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(script.publish(b"in/\xff", b"x", 7, protocol_level=level))
        acknowledged.set_result((await peer.expect(script.PUBACK)).packet_id)
        await peer.gone()

    acknowledged: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with ScriptedBroker(send) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        messages = await owned.take(1)
        owned.link.acknowledge(messages)

        assert messages[0].topic == "in/\ufffd"
        assert await within(acknowledged) == 7


async def test_more_than_the_receive_maximum_is_taken(
    open_link: OpenLink, variant: Variant
) -> None:
    """Mosquitto before 2.0.13 sends more than it may; ending the connection would not help."""
    level = 5 if variant.protocol == "5" else 4

    async def flood(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(*(script.publish("in/a", b"x", n, protocol_level=level) for n in range(1, 2001)))
        await peer.gone()

    async with ScriptedBroker(flood) as broker:
        owned = open_link(broker.host, broker.port, receive_maximum=10)
        await owned.start()

        assert len(await owned.take(2000)) == 2000
        assert owned.errors.empty()


async def test_acknowledgements_keep_their_order(open_link: OpenLink, variant: Variant) -> None:
    """In the order in which the messages came (MQTT 5 section 4.6), whatever batches were made."""
    level = 5 if variant.protocol == "5" else 4
    ids = [3, 1, 2, 9, 5]

    async def send(peer: Peer, number: int) -> None:
        await peer.accept_all()
        peer.send(*(script.publish("in/a", b"x", n, protocol_level=level) for n in ids))
        got.set_result([(await peer.expect(script.PUBACK)).packet_id for _ in ids])
        await peer.gone()

    got: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    async with ScriptedBroker(send) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        messages = await owned.take(len(ids))
        owned.link.acknowledge(messages[:2])
        owned.link.acknowledge(messages[2:])

        assert await within(got) == ids


@mqtt5_only
async def test_the_brokers_receive_maximum_bounds_the_window(open_link: OpenLink) -> None:
    """A broker that takes one publish at a time is sent one at a time."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=b"\x21\x00\x01")
        while True:
            publish = await peer.expect(script.PUBLISH)
            await may_answer.wait()
            peer.send(script.puback(publish.packet_id))

    may_answer = asyncio.Event()
    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        assert owned.link.publish_slots == 1
        future = owned.link.publish(Publication("out/a", b"x"))
        with pytest.raises(PublishWindowFull):
            owned.link.publish(Publication("out/a", b"x"))

        may_answer.set()

        await within(future)
        await owned.publish("out/a")


@mqtt5_only
@pytest.mark.parametrize(
    ("code", "reason"), [(0x10, None), (0x87, "Not authorized"), (0x97, "Quota exceeded")]
)
async def test_a_puback_may_refuse(open_link: OpenLink, code: int, reason: str | None) -> None:
    """A failure is one, whatever it is; that nobody listens is none."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all()
        publish = await peer.expect(script.PUBLISH)
        peer.send(script.puback(publish.packet_id, code))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()
        if reason is None:
            await owned.publish("out/a")
            return
        with pytest.raises(PublishRefused) as caught:
            await owned.publish("out/a")
        assert caught.value.reason == reason


@mqtt5_only
async def test_a_packet_larger_than_the_broker_takes_is_not_sent(open_link: OpenLink) -> None:
    """The broker would end the connection for it, and each time again."""

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept_all(properties=b"\x27\x00\x00\x04\x00")
        publish = await peer.expect(script.PUBLISH)
        peer.send(script.puback(publish.packet_id))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        with pytest.raises(PublishRefused) as caught:
            await owned.publish("out/a", b"x" * 1024)

        assert "1024" in caught.value.reason
        assert "maximum packet size" in caught.value.hint
        await owned.publish("out/a", b"x" * 900)
