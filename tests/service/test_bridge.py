"""A real bridge on a real Mosquitto, seen from outside."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgpack
import orjson
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge import metrics
from bridge.config import LimitsConfig, PublishConfig
from bridge.core.topics import TwinKey
from bridge.service import Bridge
from tests.support.bridge import (
    Client,
    connected_client,
    make_config,
    retained,
    running_bridge,
)
from tests.support.mosquitto import Mosquitto


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge on a fresh broker with a fresh store."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as running:
        yield running


@pytest.fixture
async def client(mosquitto: Mosquitto, bridge: Bridge) -> AsyncIterator[Client]:
    """A client that sees all that the bridge publishes of lamp-1."""
    verbs = ("state", "delta", "reply/+", "+/state", "+/reply/+")
    filters = [f"sync/lamp-1/{verb}" for verb in verbs]
    async with connected_client(mosquitto, *filters) as connected:
        yield connected


async def test_a_plain_report_becomes_a_retained_state(
    client: Client, mosquitto: Mosquitto
) -> None:
    """With nothing registered or configured, and byte for byte as documented."""
    await client.publish("sync/lamp-1/report", b'{"on":true}')
    await client.until_version("sync/lamp-1/state", 1)
    state = (await retained(mosquitto, "sync/+/state"))["sync/lamp-1/state"]
    expected = rb'\{"version":1,"at":\d{16},"reported":\{"on":true\},"desired":\{\}\}'
    assert re.fullmatch(expected, state)


async def test_a_delta_is_retained_until_the_device_has_reported_it(
    client: Client, mosquitto: Mosquitto
) -> None:
    """Published when it changes, cleared when it is empty."""
    await client.publish("sync/lamp-1/report", {"on": True, "level": 1})
    await client.publish("sync/lamp-1/desire/app", {"on": False, "level": 1.0})
    delta = await client.next("sync/lamp-1/delta")
    assert (delta["version"], delta["state"]) == (2, {"on": False})
    assert "sync/lamp-1/delta" in await retained(mosquitto, "sync/+/delta")
    await client.publish("sync/lamp-1/report", {"on": False})
    assert await client.next("sync/lamp-1/delta") is None
    assert await retained(mosquitto, "sync/+/delta") == {}


async def test_an_id_is_answered_after_the_commit(client: Client) -> None:
    """ok, the version, and whether anything changed; a repeat is a duplicate."""
    report = {"on": True, "$": {"id": "a1", "boot": "b", "seq": 1}}
    for expected in (
        {"ok": True, "version": 1, "changed": True},
        {"ok": True, "version": 1, "changed": False, "duplicate": True},
    ):
        await client.publish("sync/lamp-1/report", report)
        reply = (await client.next("sync/lamp-1/reply/lamp-1"))["$"]
        assert reply.pop("now") > 1_700_000_000_000_000
        assert reply == {"id": "a1", **expected}


async def test_what_was_overtaken_is_answered_as_superseded(client: Client) -> None:
    """It arrived, and none of it took effect."""
    await client.publish("sync/lamp-1/report", {"on": True, "$": {"boot": "b", "seq": 2}})
    await client.publish(
        "sync/lamp-1/report", {"on": False, "$": {"boot": "b", "seq": 1, "id": "x"}}
    )
    reply = (await client.next("sync/lamp-1/reply/lamp-1"))["$"]
    assert (reply["ok"], reply["superseded"], reply["version"]) == (True, True, 1)


async def test_a_refusal_is_answered_and_changes_nothing(client: Client) -> None:
    """With code, name, reason and the version; the repeat is refused alike."""
    await client.publish("sync/lamp-1/report", {"on": True})
    for _ in range(2):
        await client.publish(
            "sync/lamp-1/desire/app", {"on": False, "$": {"id": "r", "seq": 1, "if": 0}}
        )
        reply = (await client.next("sync/lamp-1/reply/app"))["$"]
        # `if` 0 is right: `desired` has never changed.
        assert reply["ok"]
    await client.publish("sync/lamp-1/desire/app", {"on": 1, "$": {"id": "s", "seq": 2, "if": 0}})
    refused = (await client.next("sync/lamp-1/reply/app"))["$"]
    assert (refused["ok"], refused["code"], refused["error"]) == (False, 409, "version_mismatch")
    await client.publish("sync/lamp-1/desire/app", {"on": 1, "$": {"id": "s", "seq": 2, "if": 0}})
    assert (await client.next("sync/lamp-1/reply/app"))["$"] == refused
    await client.publish("sync/lamp-1/get/app", b"")
    assert (await client.next("sync/lamp-1/reply/app"))["desired"] == {"on": False}


async def test_the_answer_is_in_the_encoding_of_the_question(client: Client) -> None:
    """Msgpack in, msgpack out; with its content type."""
    report = msgpack.packb({"on": True, "$": {"id": "m"}})
    await client.publish("sync/lamp-1/report", report)
    message = await client.next_message("sync/lamp-1/reply/lamp-1")
    assert isinstance(message.payload, bytes)
    assert msgpack.unpackb(message.payload)["$"]["ok"] is True
    assert message.properties is not None
    assert message.properties.ContentType == "application/msgpack"


async def test_a_get_is_answered_with_the_whole_twin_or_404(client: Client) -> None:
    """And never creates one."""
    await client.publish("sync/lamp-1/get/me", {"$": {"id": "g0"}})
    missing = (await client.next("sync/lamp-1/reply/me"))["$"]
    assert (missing["id"], missing["code"], missing["version"]) == ("g0", 404, 0)
    await client.publish("sync/lamp-1/report", {"on": True})
    await client.publish("sync/lamp-1/get/me", b"")
    whole = await client.next("sync/lamp-1/reply/me")
    assert whole["$"] == {"ok": True, "version": 1, "full": True}
    assert (whole["reported"], whole["desired"]) == ({"on": True}, {})


async def test_a_deletion_clears_what_was_retained_and_versions_go_on(
    client: Client, mosquitto: Mosquitto
) -> None:
    """State, delta and presence are gone; a report creates the twin anew."""
    await client.publish("sync/lamp-1/presence", b"online", retain=True)
    await client.publish("sync/lamp-1/report", {"on": True})
    await client.publish("sync/lamp-1/desire/app", {"on": False})
    await client.until_version("sync/lamp-1/state", 2)
    await client.publish("sync/lamp-1/delete/app", {"$": {"id": "d"}})
    assert (await client.next("sync/lamp-1/reply/app"))["$"]["version"] == 3
    while await client.next("sync/lamp-1/state") is not None:
        pass
    assert await retained(mosquitto, "sync/lamp-1/#") == {}
    await client.publish("sync/lamp-1/get/app", b"")
    gone = (await client.next("sync/lamp-1/reply/app"))["$"]
    assert (gone["code"], gone["version"]) == (404, 3)
    await client.publish("sync/lamp-1/report", {"level": 5})
    state = await client.until_version("sync/lamp-1/state", 4)
    assert (state["version"], state["reported"], state["desired"]) == (4, {"level": 5}, {})


async def test_presence_stands_in_the_state(client: Client) -> None:
    """Text or an object; absent until the first."""
    await client.publish("sync/lamp-1/report", {"on": True})
    assert "online" not in await client.next("sync/lamp-1/state")
    await client.publish("sync/lamp-1/presence", b"online", retain=True)
    assert (await client.next("sync/lamp-1/state"))["online"] is True
    await client.publish("sync/lamp-1/presence", {"online": False, "boot": 7}, retain=True)
    assert (await client.next("sync/lamp-1/state"))["online"] is False


async def test_named_twins_are_documents_of_their_own(client: Client, mosquitto: Mosquitto) -> None:
    """Own version, own topics."""
    await client.publish("sync/lamp-1/config/report", {"rate": 5, "$": {"id": "n"}})
    reply = await client.next("sync/lamp-1/config/reply/lamp-1")
    assert reply["$"]["version"] == 1
    assert (await client.next("sync/lamp-1/config/state"))["reported"] == {"rate": 5}
    assert "sync/lamp-1/state" not in await retained(mosquitto, "sync/#")


async def test_mqtt_5_correlation_data_asks_for_a_reply_and_is_echoed(
    client: Client, bridge: Bridge
) -> None:
    """A response topic of one's own choice is ignored and counted."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = b"\x01\x02"
    properties.ResponseTopic = "sync/other/report"
    await client.subscribe("sync/other/report")
    await client.publish("sync/lamp-1/report", {"on": True}, properties=properties)
    reply = await client.next_message("sync/lamp-1/reply/lamp-1")
    assert reply.properties is not None
    assert reply.properties.CorrelationData == b"\x01\x02"
    assert bridge.counters.value(metrics.RESPONSE_TOPICS_IGNORED) == 1
    assert "sync/other/report" not in client.has_arrived()


BAD = {
    "broken JSON": b'{"on":',
    "an array": b"[1]",
    "an empty payload": b"",
    "an unknown encoding": b"\xa1",
    "too large": b'{"a":"' + b"x" * 300_000 + b'"}',
    "a key twice": b'{"on":1,"on":2}',
    "an unknown member of $": b'{"on":false,"$":{"sqe":1}}',
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD.keys())
async def test_bad_input_without_an_id_changes_nothing_and_is_kept(
    client: Client, bridge: Bridge, payload: bytes
) -> None:
    """Counted and quarantined with its reason, because it cannot be answered."""
    await client.publish("sync/lamp-1/report", {"on": True})
    await client.publish("sync/lamp-1/report", payload)
    await client.publish("sync/lamp-1/get/me", b"")
    whole = await client.next("sync/lamp-1/reply/me")
    assert (whole["$"]["version"], whole["reported"]) == (1, {"on": True})
    assert bridge.counters.value(metrics.QUARANTINED) == 1
    kept = await bridge.run_store(lambda store: store.quarantine(10))
    assert [row.topic for row in kept] == ["sync/lamp-1/report"]
    assert payload.startswith(kept[0].payload[:100])
    assert kept[0].message


@pytest.mark.parametrize(
    "topic", ["sync/lämp/report", "sync/.x/report", "sync/lamp-1/state/report", "sync/a/b/c/get/d"]
)
async def test_a_topic_outside_the_grammar_is_kept_or_never_arrives(
    client: Client, bridge: Bridge, topic: str
) -> None:
    """It becomes no twin."""
    await client.publish(topic, {"on": True})
    await client.publish("sync/lamp-1/report", {"on": True, "$": {"id": "after"}})
    await client.next("sync/lamp-1/reply/lamp-1")
    assert await bridge.run_store(lambda store: store.count_twins()) == 1


async def test_too_large_a_twin_is_refused_with_the_size_and_the_limit(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """413, and what was there stays."""
    config = make_config(mosquitto, tmp_path, limits=LimitsConfig(twin_bytes=1024))
    async with (
        running_bridge(config),
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        for key, ok in (("a", True), ("b", False)):
            patch = {key: "x" * 600, "$": {"id": key}}
            await client.publish("sync/lamp-1/report", patch)
            reply = (await client.next("sync/lamp-1/reply/lamp-1"))["$"]
            assert reply["ok"] is ok
        assert (reply["code"], reply["error"]) == (413, "twin_too_large")


async def test_a_retained_report_is_not_new_again_after_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The broker sends it at every new subscription; its digest is known."""
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, "sync/lamp-1/state") as client:
        async with running_bridge(config):
            await client.publish("sync/lamp-1/report", {"on": True}, retain=True)
            await client.until_version("sync/lamp-1/state", 1)
            await client.publish("sync/lamp-1/report", {"on": False, "n": 1})
            await client.until_version("sync/lamp-1/state", 2)
        mosquitto.kill()
    mosquitto.start()
    async with connected_client(mosquitto, "sync/lamp-1/state") as client:
        await client.publish("sync/lamp-1/report", {"on": True}, retain=True)
        async with running_bridge(config):
            await client.publish("sync/lamp-1/report", {"n": 2})
            state = await client.until_version("sync/lamp-1/state", 3)
    assert state["reported"] == {"on": False, "n": 2}


async def test_states_can_be_published_as_msgpack_beside_json(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """`both` adds a topic, deltas too."""
    config = make_config(mosquitto, tmp_path, publish=PublishConfig(encoding="both"))
    async with (
        running_bridge(config),
        connected_client(mosquitto, "sync/lamp-1/delta/msgpack") as client,
    ):
        await client.publish("sync/lamp-1/desire/app", {"on": True})
        await client.next_message("sync/lamp-1/delta/msgpack")
        found = await retained(mosquitto, "sync/lamp-1/#")
    assert found.keys() == {
        f"sync/lamp-1/{verb}{suffix}" for verb in ("state", "delta") for suffix in ("", "/msgpack")
    }
    for verb in ("state", "delta"):
        packed = msgpack.unpackb(found[f"sync/lamp-1/{verb}/msgpack"])
        assert packed == orjson.loads(found[f"sync/lamp-1/{verb}"])


async def test_the_status_says_online_and_offline(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Retained, with version and instance; the last word of a clean stop is offline."""
    topic = "sync/$bridge/status"
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        async with connected_client(mosquitto, topic) as client:
            status = await client.next(topic)
            while not status["online"]:
                status = await client.next(topic)
        assert status["instance"] == (await bridge.run_store(lambda s: s.metadata()))["instance"]
    assert orjson.loads((await retained(mosquitto, topic))[topic])["online"] is False


async def test_a_bridge_that_speaks_mqtt_3_1_1_serves_as_well(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Clients of either version see the same."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/lamp-1/reply/+", protocol=4) as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True, "$": {"id": "old"}})
        assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"] is True


async def test_reports_that_say_only_values_and_those_that_say_more_take_turns(
    client: Client, mosquitto: Mosquitto, bridge: Bridge
) -> None:
    """Whichever way each of them goes, the twin is what all of them make, one version each."""
    reports: list[object] = [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "x"},
        {"a": None, "c": True},
        {"c": True},
        {"a": {"deep": 1}},
        {"a": 3},
        {"b": "y", "$": {"seq": 1}},
        {"c": False},
    ]
    for report in reports:
        await client.publish("sync/lamp-1/report", report)
    # {"c": True} said nothing new.
    await client.until_version("sync/lamp-1/state", len(reports) - 1)

    state = orjson.loads((await retained(mosquitto, "sync/+/state"))["sync/lamp-1/state"])
    assert state["reported"] == {"a": 3, "b": "y", "c": False}
    assert bridge.counters.value(metrics.UPDATES_CHANGED) == len(reports) - 1
    rows = await bridge.run_store(lambda store: store.history(TwinKey("lamp-1"), None, 99))
    patches = [orjson.loads(row.patch) for row in reversed(rows)]
    assert patches[1:3] == [{"a": 2}, {"a": None, "c": True}]


@pytest.mark.parametrize("allowed", [1, 20])
async def test_a_broker_that_takes_few_at_a_time_is_served(tmp_path: Path, allowed: int) -> None:
    """With one message in flight, each way, everything comes through, only later."""
    extra = f"max_inflight_messages {allowed}"
    with Mosquitto(tmp_path / "broker", extra=extra) as broker:
        config = make_config(broker, tmp_path)
        async with running_bridge(config), connected_client(broker, "sync/+/state") as client:
            for number in range(30):
                await client.publish("sync/lamp-1/report", {"n": number})
            await client.until_version("sync/lamp-1/state", 30)


async def test_a_payload_above_the_broker_s_usual_packets_is_answered(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The broker is told that it may send as much as the limits allow, and drops nothing."""
    limits = LimitsConfig(payload_bytes=3 * 1024 * 1024)
    config = make_config(mosquitto, tmp_path, limits=limits)
    async with (
        running_bridge(config),
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        large = {"$": {"id": "a"}, "text": "x" * 2 * 1024 * 1024}
        await client.publish("sync/lamp-1/report", large)

        answer = await client.next("sync/lamp-1/reply/lamp-1")
    assert answer["$"]["error"] == "twin_too_large"
