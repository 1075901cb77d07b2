"""Contract: what is said at the beginning of a connection, and how it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from structlog.testing import capture_logs

from bridge.errors import ConnectRefused
from bridge.link.base import Subscription
from tests.link.conftest import OpenLink, Variant, mqtt5_only
from tests.link.owned_link import within
from tests.support import scripted_broker as script
from tests.support.scripted_broker import Peer, ScriptedBroker, first_connection

# What a broker may answer to CONNECT, in either version, and whether the link goes on.
_REFUSALS = [
    ("5", 0x85, "client identifier not valid", False),
    ("5", 0x86, "bad user name or password", False),
    ("5", 0x87, "not authorized", False),
    ("5", 0x88, "server unavailable", True),
    ("5", 0x89, "server busy", True),
    ("5", 0x8A, "banned", False),
    ("5", 0x97, "quota exceeded", True),
    ("5", 0x9D, "server moved", False),
    ("3.1.1", 2, "client identifier not valid", False),
    ("3.1.1", 3, "server unavailable", True),
    ("3.1.1", 4, "bad user name or password", False),
    ("3.1.1", 5, "not authorized", False),
]


async def _refuse(peer: Peer, code: int) -> None:
    connect = await peer.expect(script.CONNECT)
    peer.send(script.connack(code, connect.protocol_level))
    await peer.gone()


async def test_refusals_are_named_and_only_some_are_tried_again(
    open_link: OpenLink, variant: Variant
) -> None:
    """What only a person can correct ends the link; what may pass does not."""
    for protocol, code, name, recoverable in _REFUSALS:
        if protocol != variant.protocol:
            continue
        behaviour = partial(_refuse, code=code)
        async with ScriptedBroker(first_connection(behaviour)) as broker:
            owned = open_link(broker.host, broker.port)
            await owned.link.start(owned)

            error = await owned.next_error()

            assert isinstance(error, ConnectRefused)
            assert (error.message.endswith(f": {name}"), error.recoverable) == (True, recoverable)
            assert error.hint
            if recoverable:
                assert (await owned.next_session()).generation == 1
            await owned.link.stop()


@mqtt5_only
async def test_the_brokers_own_words_are_passed_on(open_link: OpenLink) -> None:
    """A reason string helps whoever reads the log; what cannot be printed is escaped."""

    async def refuse(peer: Peer, number: int) -> None:
        await peer.expect(script.CONNECT)
        peer.send(script.connack(0x87, 5, b"\x1f" + script.text("licence\nexpired")))
        await peer.gone()

    async with ScriptedBroker(refuse) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.link.start(owned)

        assert (await owned.next_error()).message.endswith(r"not authorized: 'licence\nexpired'")


@mqtt5_only
@pytest.mark.parametrize(
    ("properties", "feature"),
    [(b"\x24\x00", "QoS 1"), (b"\x25\x00", "retained messages"), (b"\x28\x00", "wildcard")],
)
async def test_a_broker_that_lacks_what_is_needed_is_given_up(
    open_link: OpenLink, properties: bytes, feature: str
) -> None:
    """Maximum QoS 0, no retained messages, no wildcards: nothing of the bridge would work."""

    async def accept(peer: Peer, number: int) -> None:
        await peer.accept(properties=properties)
        await peer.gone()

    async with ScriptedBroker(accept) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.link.start(owned)

        error = await owned.next_error()

        assert feature in error.message
        assert not error.recoverable


async def _silence(peer: Peer) -> None:
    await peer.gone()


async def _silence_after_connack(peer: Peer) -> None:
    await peer.accept()
    await peer.gone()


@pytest.mark.parametrize(
    ("behaviour", "request_name"), [(_silence, "CONNECT"), (_silence_after_connack, "SUBSCRIBE")]
)
async def test_a_broker_that_does_not_answer_is_left_after_a_while(
    open_link: OpenLink, behaviour: Callable[[Peer], Awaitable[None]], request_name: str
) -> None:
    """A connection that comes to nothing does not hold the link up for ever."""
    async with ScriptedBroker(first_connection(behaviour)) as broker:
        owned = open_link(broker.host, broker.port, connect_timeout_s=0.3)
        await owned.link.start(owned)

        error = await owned.next_error()

        assert isinstance(error, ConnectRefused)
        assert f"did not answer {request_name}" in error.message
        await owned.next_session()


async def test_subscriptions_that_are_not_granted_are_reported(
    open_link: OpenLink, variant: Variant
) -> None:
    """Refused, or granted with less than was asked for: the owner is told which."""
    refusal = 0x87 if variant.protocol == "5" else 0x80

    async def serve(peer: Peer, number: int) -> None:
        connect = await peer.accept()
        subscribe = await peer.expect(script.SUBSCRIBE)
        codes = bytes([1, refusal, 0])
        peer.send(script.suback(subscribe.packet_id, connect.protocol_level, codes))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        filters = ("in/a", "in/b", "in/c")
        owned = open_link(
            broker.host, broker.port, subscriptions=tuple(Subscription(f) for f in filters)
        )

        session = await owned.start()

        name = "Not authorized" if variant.protocol == "5" else "Unspecified error"
        assert session.refused_filters == (("in/b", name), ("in/c", "Granted QoS 0"))


async def test_messages_before_the_suback_wait_and_can_be_acknowledged(
    open_link: OpenLink, variant: Variant
) -> None:
    """A broker sends what it had queued as soon as it has accepted the connection."""
    level = 5 if variant.protocol == "5" else 4

    async def serve(peer: Peer, number: int) -> None:
        await peer.accept(session_present=True)
        peer.send(script.publish("in/a", b"queued", 5, protocol_level=level))
        # In whatever order the link and its owner send them.
        said = {packet.kind: packet.packet_id for packet in (await peer.read(), await peer.read())}
        assert said[script.PUBACK] == 5
        peer.send(script.suback(said[script.SUBSCRIBE], level, b"\x01"))
        await peer.gone()

    async with ScriptedBroker(serve) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.link.start(owned)

        messages = await owned.take(1)
        assert owned.link.session is None
        owned.link.acknowledge(messages)

        assert (await owned.next_session()).session_present


async def test_what_is_said_to_the_broker_keeps_the_session(
    open_link: OpenLink, variant: Variant
) -> None:
    """Never started clean, with a finite expiry and our limits; user and password are there."""

    async def serve(peer: Peer, number: int) -> None:
        connects.set_result(await peer.accept_all())
        await peer.gone()

    connects: asyncio.Future[script.Packet] = asyncio.get_running_loop().create_future()
    async with ScriptedBroker(serve) as broker:
        owned = open_link(
            broker.host,
            broker.port,
            username="u",
            password="p",  # noqa: S106
            session_expiry_s=3600,
            receive_maximum=7,
            maximum_packet_bytes=5000,
            keepalive_s=33,
        )
        await owned.start()

        body = (await within(connects)).body

        clean = 0x02
        assert body[7] == 0x80 | 0x40
        assert not body[7] & clean
        assert body[8:10] == b"\x00\x21"
        rest = script.text("bridge") + script.text("u") + script.text("p")
        if variant.protocol == "5":
            expected = {
                b"\x11" + (3600).to_bytes(4, "big"),
                b"\x21" + (7).to_bytes(2, "big"),
                b"\x27" + (5000).to_bytes(4, "big"),
            }
            length = body[10]
            assert length == sum(map(len, expected))
            assert all(one in body[11 : 11 + length] for one in expected)
            assert body[11 + length :] == rest
        else:
            assert body[10:] == rest


async def test_a_trouble_that_goes_on_is_logged_once_and_its_end_too(
    open_link: OpenLink,
) -> None:
    """An operator sees one line with a hint, and how long it lasted; not one for each retry."""

    async def serve(peer: Peer, number: int) -> None:
        if number < 4:
            return  # Closed without a word.
        await peer.accept_all()
        await peer.gone()

    with capture_logs() as lines:
        async with ScriptedBroker(serve) as broker:
            owned = open_link(broker.host, broker.port)
            await owned.start()

    troubles = [line for line in lines if line["event"] == "no connection to the broker"]
    assert [line["log_level"] for line in troubles] == ["warning", "debug", "debug", "debug"]
    assert troubles[0]["hint"]
    (connected,) = (line for line in lines if line["event"] == "connected to the broker")
    assert connected["away_s"] > 0
