"""One message for each version, on a real broker, byte for byte."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import pytest

from bridge.config import PresenceConfig, PublishConfig
from bridge.core.topics import TwinKey
from bridge.core.update import NO_METADATA, Update
from bridge.service import Bridge
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

EVENT = "sync/lamp-1/event"


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge that tells everything."""
    config = make_config(mosquitto, tmp_path, publish=PublishConfig(events=True))
    async with running_bridge(config) as running:
        yield running


@pytest.fixture
async def client(mosquitto: Mosquitto, bridge: Bridge) -> AsyncIterator[Client]:
    """A client that hears it."""
    filters = (EVENT, "sync/lamp-1/+/event", "sync/lamp-1/reply/+")
    async with connected_client(mosquitto, *filters) as connected:
        yield connected


async def test_each_version_is_told_with_what_was_there_before(client: Client) -> None:
    """Byte for byte; not retained."""
    for topic, payload in (
        ("report", {"on": True, "color": {"r": 1}}),
        ("desire/app", {"on": False}),
        ("report", {"color": {"r": None, "g": 2}}),
    ):
        await client.publish(f"sync/lamp-1/{topic}", payload)
    for expected in (
        rb'\{"version":1,"at":\d{16},"section":"reported","writer":"lamp-1",'
        rb'"patch":\{"on":true,"color":\{"r":1\}\},"previous":\{"on":null,"color":null\},'
        rb'"conflicts":\[\]\}',
        rb'\{"version":2,"at":\d{16},"section":"desired","writer":"app",'
        rb'"patch":\{"on":false\},"previous":\{"on":null\},"conflicts":\[\]\}',
        rb'\{"version":3,"at":\d{16},"section":"reported","writer":"lamp-1",'
        rb'"patch":\{"color":\{"r":null,"g":2\}\},"previous":\{"color":\{"r":1,"g":null\}\},'
        rb'"conflicts":\[\]\}',
    ):
        message = await client.next_message(EVENT)
        assert isinstance(message.payload, bytes)
        assert re.fullmatch(expected, message.payload), message.payload
        assert not message.retain


async def test_what_makes_no_version_is_not_told(client: Client) -> None:
    """The same again, a refusal, a question, a repeat."""
    for number in range(2):
        await client.publish("sync/lamp-1/report", {"on": True, "$": {"seq": 1}})
        await client.publish("sync/lamp-1/report", {"on": True})
        await client.publish("sync/lamp-1/report", {"$x": number})
        await client.publish("sync/lamp-1/get/app", b"")
    await client.publish("sync/lamp-1/report", {"on": False, "$": {"seq": 2}})
    assert [(await client.next(EVENT))["version"] for _ in range(2)] == [1, 2]


async def test_presence_and_deletions_are_told_too(client: Client) -> None:
    """As sections of their own; a deletion with all that was there."""
    await client.publish("sync/lamp-1/report", {"on": True})
    for presence in ("online", "offline"):
        await client.publish("sync/lamp-1/presence", presence.encode())
    await client.publish("sync/lamp-1/report", {"on": False})
    await client.publish("sync/lamp-1/delete/app", b"")
    events = [await client.next(EVENT) for _ in range(5)]
    assert [(e["version"], e["section"], e.get("online")) for e in events] == [
        (1, "reported", None),
        (2, "presence", True),
        (3, "presence", False),
        # The report brought the device online as well.
        (4, "reported", True),
        (5, "twin", None),
    ]
    assert [(e["patch"], e["previous"]) for e in events[1:3]] == [({}, {})] * 2
    assert events[4]["patch"] is None
    assert events[4]["previous"] == {"reported": {"on": False}, "desired": {}}
    assert events[4]["writer"] == "app"


async def test_the_loser_of_a_concurrent_write_is_told(client: Client) -> None:
    """Also where the write made no version: with the present one, and an empty patch."""
    await client.publish("sync/lamp-1/desire/anna", {"mode": "eco"})
    await client.publish(
        "sync/lamp-1/desire/bert", {"mode": "party", "$": {"t": 1_600_000_000_000_000}}
    )
    assert (await client.next(EVENT))["conflicts"] == []
    lost = await client.next(EVENT)
    assert (lost["version"], lost["section"], lost["writer"]) == (1, "desired", "bert")
    assert (lost["patch"], lost["previous"]) == ({}, {})
    (conflict,) = lost["conflicts"]
    assert conflict.pop("kept_stamp") > conflict["lost_stamp"]
    assert conflict == {
        "section": "desired",
        "path": ["mode"],
        "policy": "latest",
        "kept": "eco",
        "kept_by": "anna",
        "lost": "party",
        "lost_by": "bert",
        "lost_stamp": 1_600_000_000_000_000,
    }


async def test_what_administration_changes_is_told_too(bridge: Bridge, client: Client) -> None:
    """On the topic of its twin."""
    key = TwinKey("lamp-1", "config")
    await bridge.apply(key, Update(key, "desired", "operator", {"rate": 5}, NO_METADATA, b""))
    event = await client.next("sync/lamp-1/config/event")
    assert (event["version"], event["writer"], event["patch"]) == (1, "operator", {"rate": 5})


async def test_events_are_off_unless_they_are_switched_on(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Nobody pays for what nobody reads."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/#") as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True, "$": {"id": "r"}})
        await client.next("sync/lamp-1/state")
        await client.publish("sync/lamp-1/get/app", b"")
        await client.next("sync/lamp-1/reply/app")
        assert EVENT not in client.has_arrived()


async def test_events_are_in_msgpack_where_states_are_and_silence_is_told(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A device that goes offline by its silence makes an event as well."""
    config = make_config(
        mosquitto,
        tmp_path,
        publish=PublishConfig(events=True, encoding="msgpack"),
        presence=PresenceConfig(offline_after_s=0.2),
    )
    async with running_bridge(config), connected_client(mosquitto, EVENT) as client:
        await client.publish("sync/lamp-1/report", {"on": True})
        found = []
        for _ in range(2):
            payload = (await client.next_message(EVENT)).payload
            assert isinstance(payload, bytes)
            event = msgpack.unpackb(payload)
            found.append((event["version"], event["section"], event.get("online")))
        assert found == [(1, "reported", None), (2, "presence", False)]
