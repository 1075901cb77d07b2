"""Contract: publishes, their window, and what becomes of them when a connection ends."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from bridge.errors import LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import Publication
from tests.link.conftest import OpenLink, mqtt5_only, mqtt311_only
from tests.link.owned_link import within
from tests.link.relay import Relay
from tests.support.mosquitto import Mosquitto


async def first_message(device: aiomqtt.Client) -> aiomqtt.Message:
    """Return the next message of another client."""
    return await within(anext(aiter(device.messages)))


async def test_a_publish_is_done_when_the_broker_has_acknowledged_it(
    mosquitto: Mosquitto, relay: Relay, open_link: OpenLink
) -> None:
    """The future waits for the PUBACK, and the broker keeps what is retained."""
    owned = open_link(relay.host, relay.port)
    await owned.start()
    relay.freeze()
    future = owned.link.publish(Publication("out/a", b"kept", retain=True))
    await asyncio.sleep(0)
    assert not future.done()

    relay.thaw()

    await within(future)
    async with aiomqtt.Client(mosquitto.host, mosquitto.port) as later:
        await later.subscribe("out/a", qos=1)
        message = await first_message(later)
    assert (message.payload, message.retain) == (b"kept", True)


async def test_the_window_is_kept_to(relay: Relay, open_link: OpenLink) -> None:
    """No more publishes than the window holds; their acknowledgements make room."""
    owned = open_link(relay.host, relay.port, publish_window=3)
    await owned.start()
    relay.freeze()
    futures = [owned.link.publish(Publication("out/a", b"x")) for _ in range(3)]

    assert owned.link.publish_slots == 0
    with pytest.raises(PublishWindowFull):
        owned.link.publish(Publication("out/a", b"x"))

    relay.thaw()
    await within(asyncio.gather(*futures))
    assert owned.link.publish_slots == 3


@mqtt311_only
async def test_publishes_in_flight_fail_when_the_connection_ends(
    relay: Relay, open_link: OpenLink
) -> None:
    """Nobody waits for an acknowledgement that cannot come any more."""
    owned = open_link(relay.host, relay.port, publish_window=2)
    await owned.start()
    relay.freeze()
    futures = [owned.link.publish(Publication("out/a", b"x")) for _ in range(2)]

    relay.cut()

    for future in futures:
        with pytest.raises(LinkLost):
            await within(future)
    relay.thaw()
    await owned.next_session()
    assert owned.link.publish_slots == 2


@mqtt311_only
async def test_a_publish_is_not_sent_again_on_paho(
    device: aiomqtt.Client, relay: Relay, open_link: OpenLink
) -> None:
    """It cannot be, before anything newer: an old state must not follow a newer one."""
    await device.subscribe("out/#", qos=1)
    owned = open_link(relay.host, relay.port)
    await owned.start()
    relay.freeze()
    lost = owned.link.publish(Publication("out/a", b"old", retain=True))
    # Until the bytes have left us, so that they are lost on the way.
    await asyncio.sleep(0.05)
    relay.cut()
    with pytest.raises(LinkLost):
        await within(lost)
    relay.thaw()
    await owned.next_session()

    await owned.publish("out/a", b"new", retain=True)

    assert (await first_message(device)).payload == b"new"


async def test_a_cancelled_future_frees_its_slot_at_the_acknowledgement(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """Who stops waiting does not disturb the window."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()
    slots = owned.link.publish_slots

    owned.link.publish(Publication("out/a", b"x")).cancel()

    assert owned.link.publish_slots == slots - 1
    await owned.fence()
    assert owned.link.publish_slots == slots


@mqtt5_only
async def test_publishes_in_flight_are_sent_again_where_the_session_lives(
    device: aiomqtt.Client, relay: Relay, open_link: OpenLink
) -> None:
    """In their order, before anything newer, and with their own packet ids (section 4.4)."""
    await device.subscribe("out/#", qos=1)
    owned = open_link(relay.host, relay.port)
    await owned.start()
    relay.freeze()
    futures = [
        owned.link.publish(Publication("out/a", payload, retain=True)) for payload in (b"1", b"2")
    ]
    # Until the bytes have left us, so that they are lost on the way.
    await asyncio.sleep(0.05)
    relay.cut()
    await owned.next_error()
    assert owned.link.publish_slots == 0
    relay.thaw()

    assert (await owned.next_session()).session_present
    newer = owned.link.publish(Publication("out/a", b"3", retain=True))

    await within(asyncio.gather(*futures, newer))
    payloads = [(await first_message(device)).payload for _ in range(3)]
    assert payloads == [b"1", b"2", b"3"]


@mqtt5_only
async def test_publishes_in_flight_fail_where_the_session_is_lost(
    mosquitto: Mosquitto, relay: Relay, open_link: OpenLink
) -> None:
    """Their sender decides what is newest now; one that stopped waiting is left alone."""
    owned = open_link(relay.host, relay.port)
    await owned.start()
    relay.freeze()
    lost, cancelled = (owned.link.publish(Publication("out/a", b"x")) for _ in range(2))
    cancelled.cancel()
    relay.cut()
    await owned.next_error()
    mosquitto.kill()
    await asyncio.to_thread(mosquitto.start)
    relay.thaw()

    assert not (await owned.next_session()).session_present

    with pytest.raises(LinkLost):
        await within(lost)
    await owned.publish("out/a")


async def test_publishes_in_flight_fail_at_a_stop(relay: Relay, open_link: OpenLink) -> None:
    """Nobody waits for an acknowledgement that cannot come any more."""
    owned = open_link(relay.host, relay.port)
    await owned.start()
    relay.freeze()
    future = owned.link.publish(Publication("out/a", b"x"))

    await owned.link.stop()

    with pytest.raises(LinkLost):
        await within(future)


@mqtt5_only
async def test_a_denied_publish_is_refused(
    tmp_path_factory: pytest.TempPathFactory, open_link: OpenLink
) -> None:
    """MQTT 5 says that a publish was not allowed; MQTT 3.1.1 cannot."""
    with Mosquitto(
        tmp_path_factory.mktemp("broker"), acl="topic readwrite out/#\ntopic read in/#\n"
    ) as broker:
        owned = open_link(broker.host, broker.port)
        await owned.start()

        with pytest.raises(PublishRefused) as caught:
            await owned.publish("forbidden/a")

        assert (caught.value.topic, caught.value.reason) == ("forbidden/a", "Not authorized")
        await owned.publish("out/a")


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "a\0b", "x" * 65_536])
async def test_topics_that_nobody_may_publish_to_are_refused_at_once(
    mosquitto: Mosquitto, open_link: OpenLink, topic: str
) -> None:
    """They would end the connection, so they never leave; it goes on."""
    owned = open_link(mosquitto.host, mosquitto.port)
    await owned.start()

    with pytest.raises(ValueError):
        owned.link.publish(Publication(topic, b"x"))

    await owned.fence()


async def test_nothing_can_be_published_without_a_connection(
    mosquitto: Mosquitto, open_link: OpenLink
) -> None:
    """Before the start and after the stop there are no slots, and a publish says so."""
    owned = open_link(mosquitto.host, mosquitto.port)

    def refuses() -> bool:
        assert owned.link.publish_slots == 0
        with pytest.raises(LinkLost):
            owned.link.publish(Publication("out/a", b"x"))
        return True

    assert refuses()
    await owned.start()
    await owned.link.stop()
    assert refuses()
