"""Contract: what is delivered, acknowledged and delivered again."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.link.base import Publication, Subscription
from tests.link.conftest import OpenLink, Variant, mqtt5_only
from tests.link.owned_link import send, texts, within
from tests.link.relay import Relay
from tests.support.mosquitto import Mosquitto


async def test_messages_come_in_the_order_in_which_they_were_sent(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """More messages than any window holds arrive once each, in order."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    sent = [str(n) for n in range(300)]
    sending = asyncio.create_task(send(mosquitto, *sent))

    received: list[str] = []
    while len(received) < len(sent):
        messages = await owned.take(1)
        owned.link.acknowledge(messages)
        received += texts(messages)

    await within(sending)
    assert received == sent


async def test_receive_keeps_to_both_bounds(mosquitto: Mosquitto, open_link: OpenLink) -> None:
    """No more messages, and no more bytes, than were asked for; a larger message comes alone."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    await send(mosquitto, *(["0123456789"] * 6))
    await owned.fence()

    counts = [
        len(await within(owned.link.receive(max_messages, max_bytes)))
        for max_messages, max_bytes in ((2, 1000), (9, 29), (9, 5), (9, 1000))
    ]

    assert counts == [2, 2, 1, 1]


async def test_what_was_not_acknowledged_comes_again_after_a_cut(
    mosquitto: Mosquitto, relay: Relay, open_link: OpenLink
) -> None:
    """After a lost connection the rest comes again, in order, and nothing acknowledged does."""
    owned = open_link(relay.host, relay.port)
    await owned.start()
    sent = [str(n) for n in range(10)]
    await send(mosquitto, *sent)
    first = await owned.take(10)
    owned.link.acknowledge(first[:4])
    await owned.fence()

    relay.cut()

    assert (await owned.next_session()).session_present
    again = await owned.take(6)
    assert texts(again) == sent[4:]
    assert {message.generation for message in again} == {2}
    await owned.expect_none()


async def test_what_was_not_acknowledged_comes_again_when_the_owner_asks(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """An owner that could not process a batch drops the connection to get it once more."""
    owned = open_link(mosquitto.host, mosquitto.port)
    owned.link.drop("before there is one, nothing happens")
    await owned.start()
    await send(mosquitto, "x")
    await owned.take(1)

    owned.link.drop("the store is away")

    error = await owned.next_error()
    assert error.recoverable
    assert "the store is away" in error.message
    assert (await owned.next_session()).session_present
    assert texts(await owned.take(1)) == ["x"]


async def test_another_process_takes_the_session_up(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """A stopped link leaves its session; the next with that client id gets what was queued."""
    first = open_link(mosquitto.host, mosquitto.port)
    assert not (await first.start()).session_present
    await send(mosquitto, "taken")
    await first.take(1)
    await first.link.stop()
    await send(mosquitto, "queued")

    second = open_link(mosquitto.host, mosquitto.port)

    assert (await second.start()).session_present
    assert texts(await second.take(2)) == ["taken", "queued"]


async def test_an_acknowledgement_for_an_older_connection_is_dropped(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """A broker that lost the session uses a packet id again; the old message cannot confirm it."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    await send(mosquitto, "old")
    (old,) = await owned.take(1)
    mosquitto.kill()
    await asyncio.to_thread(mosquitto.start)
    assert not (await owned.next_session()).session_present
    await send(mosquitto, "new")
    (new,) = await owned.take(1)
    assert (new.packet_id, new.generation) == (old.packet_id, 2)

    owned.link.acknowledge([old])
    await owned.fence()

    await owned.link.stop()
    successor = open_link(mosquitto.host, mosquitto.port)
    await successor.start()
    assert texts(await successor.take(1)) == ["new"]


async def test_what_waits_of_qos_1_is_not_handed_out_twice(
    mosquitto: Mosquitto, relay: Relay, open_link: OpenLink
) -> None:
    """At a cut the waiting QoS 1 message is left to the broker; that of QoS 0 is kept."""
    owned = open_link(relay.host, relay.port)
    await owned.start()
    await send(mosquitto, "one", qos=1)
    await send(mosquitto, "zero", qos=0)
    await owned.fence()

    relay.cut()
    await owned.next_session()

    messages = await owned.take(2)
    assert [(m.payload, m.qos, m.generation) for m in messages] == [(b"zero", 0, 1), (b"one", 1, 2)]
    await owned.expect_none()


async def test_qos_0_beyond_its_bound_is_dropped_and_counted(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """Nothing holds back a flood of QoS 0, so what is too much is thrown away."""
    owned = open_link(mosquitto.host, mosquitto.port, qos0_waiting_maximum=5)
    await owned.start()
    await send(mosquitto, *(str(n) for n in range(20)), qos=0)
    await owned.fence()

    assert texts(await owned.take(5)) == ["0", "1", "2", "3", "4"]
    assert owned.link.dropped_qos0 == 15


async def test_acknowledging_qos_0_does_nothing(mosquitto: Mosquitto, open_link: OpenLink) -> None:
    """A batch is acknowledged as a whole, whatever is in it, and the connection stands it."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    await send(mosquitto, "zero", qos=0)

    owned.link.acknowledge(await owned.take(1))

    await owned.fence()
    assert owned.errors.empty()


async def test_the_retain_flag_comes_as_it_was_published(
    mosquitto: Mosquitto, open_link: OpenLink, variant: Variant
) -> None:
    """MQTT 5 passes the flag on to who is subscribed already; MQTT 3.1.1 clears it."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as device:
        await device.publish("in/a", "x", qos=1, retain=True)

    (message,) = await owned.take(1)

    assert message.retain == (variant.protocol == "5")


@mqtt5_only
async def test_retained_messages_are_replayed_as_the_subscription_says(
    mosquitto: Mosquitto, relay: Relay, open_link: OpenLink
) -> None:
    """Retain handling 0 repeats them at every connection, 1 only where it is new."""
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as device:
        await device.publish("in/once", "once", qos=1, retain=True)
        await device.publish("in/always", "always", qos=1, retain=True)
    owned = open_link(
        relay.host,
        relay.port,
        subscriptions=(
            Subscription("in/once", retain_handling=1),
            Subscription("in/always", retain_handling=0),
        ),
    )
    await owned.start()
    first = await owned.take(2)
    owned.link.acknowledge(first)
    await owned.fence()

    relay.cut()
    await owned.next_session()

    assert sorted(texts(first)) == ["always", "once"]
    assert texts(await owned.take(1)) == ["always"]
    await owned.expect_none()


@pytest.mark.parametrize("size_bytes", [0, 1, 300_000])
async def test_payloads_of_any_size_pass_both_ways(
    mosquitto: Mosquitto, open_link: OpenLink, size_bytes: int
) -> None:
    """An empty payload and one of many reads arrive as they were sent."""
    payload = bytes(range(256)) * (size_bytes // 256) + bytes(size_bytes % 256)
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()

    await owned.publish("in/a", payload)

    (message,) = await owned.take(1)
    assert message.payload == payload


@mqtt5_only
async def test_what_asks_for_a_reply_is_handed_over(
    mosquitto: Mosquitto, open_link: OpenLink, device: aiomqtt.Client
) -> None:
    """Response topic and correlation data come with the message."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "here"
    properties.CorrelationData = b"\x00\xff"
    await device.publish("in/a", "x", qos=1, properties=properties)

    (message,) = await owned.take(1)

    assert (message.response_topic, message.correlation_data) == ("here", b"\x00\xff")


@mqtt5_only
async def test_properties_that_brokers_let_pass_do_not_poison_the_session(
    mosquitto: Mosquitto, open_link: OpenLink, device: aiomqtt.Client
) -> None:
    """A content type with U+FEFF is allowed by Mosquitto, so a device can send it to us."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "\ufeff"
    await device.publish("in/a", "x", qos=1, properties=properties)

    (message,) = await owned.take(1)

    assert (message.topic, message.payload) == ("in/a", b"x")
    assert owned.errors.empty()


@mqtt5_only
async def test_what_goes_out_carries_content_type_and_correlation_data(
    mosquitto: Mosquitto, open_link: OpenLink, device: aiomqtt.Client
) -> None:
    """A reply says what it is and whose it is."""
    await device.subscribe("out/#", qos=1)
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    await within(
        owned.link.publish(Publication("out/a", b"{}", False, "application/json", b"\x01\x02"))
    )

    message = await within(anext(aiter(device.messages)))

    properties = message.properties
    assert properties is not None
    assert (properties.ContentType, properties.CorrelationData) == ("application/json", b"\x01\x02")  # type: ignore[attr-defined]
