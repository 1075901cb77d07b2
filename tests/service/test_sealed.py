"""A running bridge and devices that seal: what opens, what is refused, what goes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge import metrics
from bridge.core.compression import CompressionRules
from bridge.core.limits import Limits
from bridge.core.topics import TwinKey
from bridge.security.sealing import Sealer
from bridge.service import Bridge
from bridge.store.quarantined import QuarantinedMessage
from bridge.wire.inbound import decode_body
from tests.support.bridge import WAIT_S, Client, connected_client, retained, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import SealedClient, give_keys, sealing_config

REPORT = "sync/lamp-1/report"
REPLY = "sync/lamp-1/reply/lamp-1"
STATE = "sync/lamp-1/state"
SECRET = {"tariff": "night-4711"}


class World(NamedTuple):
    """A bridge, a lamp with a key, an application with a key, and the broker between them."""

    bridge: Bridge
    client: Client
    lamp: SealedClient
    app: SealedClient

    async def refusals(self, count: int) -> list[QuarantinedMessage]:
        """Return what is in the quarantine, after a message that comes behind all others."""
        await self.client.publish("sync/clear-1/report", {"$": {"id": "fence"}})
        while (await self.client.next("sync/clear-1/reply/clear-1"))["$"]["id"] != "fence":
            pass
        kept = await self.bridge.run_store(lambda store: store.quarantine(100))
        assert len(kept) == count
        return kept

    async def version(self) -> int:
        """Return the version of the lamp's twin."""
        key = TwinKey("lamp-1")
        return (await self.bridge.run_store(lambda store: store.load([key])))[key].version


@asynccontextmanager
async def sealed_world(broker: Mosquitto, directory: Path, **sealing: Any) -> AsyncIterator[World]:
    """Give out two keys and start the bridge."""
    config = sealing_config(broker, directory, **sealing)
    lamp, app = give_keys(config.store, "lamp-1", "app-1")
    async with (
        running_bridge(config) as bridge,
        connected_client(broker, "sync/+/reply/+", "sync/lamp-1/delta", STATE) as client,
    ):
        yield World(bridge, client, SealedClient(client, lamp), SealedClient(client, app))


async def test_what_is_sealed_is_opened_and_answered_sealed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The broker sees topics, and bytes that show nothing."""
    async with (
        sealed_world(mosquitto, tmp_path) as world,
        connected_client(mosquitto, "sync/#") as broker_view,
    ):
        frame = await world.lamp.publish(REPORT, {**SECRET, "$": {"id": "a"}})
        answer = await world.lamp.answer(REPLY)
        assert (answer["id"], answer["ok"], answer["version"]) == ("a", True, 1)
        state = await world.lamp.next(STATE)
        assert state["reported"] == SECRET
        seen = {REPORT: b"", REPLY: b"", STATE: b""}
        while not all(seen.values()):
            message = await broker_view.next_message()
            assert isinstance(message.payload, bytes)
            seen[message.topic.value] = message.payload
        assert seen[REPORT] == frame
        for topic, payload in seen.items():
            if "$bridge" not in topic:
                assert b"night" not in payload
                assert payload[:1] in (b"\xc7", b"\xc8")
        assert b"night" not in (await retained(mosquitto, STATE))[STATE]


async def test_nothing_that_is_sealed_is_compressed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Its length would tell of what is in it: the same content has the same length, whatever."""
    config = sealing_config(
        mosquitto, tmp_path, compression=CompressionRules.parse({"*": {"down": "zlib"}})
    )
    (key,) = give_keys(config.store, "lamp-1")
    async with (
        running_bridge(config),
        connected_client(mosquitto, REPLY, "sync/clear-1/reply/clear-1") as client,
    ):
        lamp = SealedClient(client, key)
        identifier = "a" * 64
        await client.publish("sync/clear-1/report", {"on": True, "$": {"id": identifier}})
        clear = (await client.next_message("sync/clear-1/reply/clear-1")).payload
        await lamp.publish(REPORT, {"on": True, "$": {"id": identifier}})
        sealed = (await client.next_message(REPLY)).payload
    assert isinstance(clear, bytes)
    assert isinstance(sealed, bytes)
    plain = decode_body(clear, Limits()).plain
    assert len(clear) < len(plain)
    assert len(sealed) > len(plain)


async def test_a_repeat_is_answered_like_the_first(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It changes nothing, be it the device's own or somebody's who has recorded it."""
    async with sealed_world(mosquitto, tmp_path) as world:
        first = await world.lamp.publish(REPORT, {"on": True, "$": {"id": "a"}})
        await world.lamp.answer(REPLY)
        await world.lamp.publish(REPORT, {"on": False, "$": {"id": "b"}})
        await world.lamp.answer(REPLY)
        await world.client.publish(REPORT, first)
        answer = await world.lamp.answer(REPLY)
        assert answer["id"] == "a"
        assert answer["ok"]
        assert answer["duplicate"]
        assert await world.version() == 2


async def test_what_is_not_as_it_was_sealed_is_refused(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """On another topic, with one bit flipped, cut short: counted and noted, not applied."""
    async with sealed_world(mosquitto, tmp_path) as world:
        frame = await world.lamp.publish(REPORT, {"on": True, "$": {"id": "a"}})
        await world.lamp.answer(REPLY)
        flipped = frame[:-1] + bytes([frame[-1] ^ 1])
        await world.client.publish("sync/lamp-1/inside/report", frame)
        await world.client.publish(REPORT, flipped)
        await world.client.publish("sync/lamp-2/report", frame)
        await world.client.publish(REPORT, frame[:40])
        kept = await world.refusals(4)
        assert [(row.code, row.error) for row in kept] == [
            (400, "bad_seal"),
            (401, "seal_not_valid"),
            (401, "seal_not_valid"),
            (401, "seal_not_valid"),
        ]
        assert (kept[2].payload, kept[2].withheld) == (b"", "sealed")
        assert kept[2].size_bytes == len(flipped)
        refused = world.bridge.counters.value(metrics.UPDATES_REFUSED, "seal_not_valid")
        assert refused == 3
        assert await world.version() == 1


async def test_nothing_of_a_device_with_a_key_comes_into_a_dictionary(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It is published in clear."""
    async with sealed_world(mosquitto, tmp_path) as world:
        await world.lamp.publish(REPORT, {"on": True, "$": {"id": "a"}})
        await world.lamp.answer(REPLY)
        await world.client.publish("sync/plug-1/report", {"on": True, "$": {"id": "b"}})
        await world.client.next("sync/plug-1/reply/plug-1")
        sampled = await world.bridge.run_store(lambda store: store.sample_states(100))
        assert [key.device for key, _ in sampled] == ["plug-1"]


async def test_nothing_that_a_device_with_a_key_sends_too_fast_is_kept(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It may have fallen back to sending in clear."""
    config = sealing_config(mosquitto, tmp_path)
    limits = config.limits.model_copy(
        update={"writer_messages_per_s": 0.01, "writer_burst_messages": 2}
    )
    config = config.model_copy(update={"limits": limits})
    give_keys(config.store, "lamp-1")
    async with running_bridge(config) as bridge, connected_client(mosquitto) as client:
        for _ in range(20):
            await client.publish(REPORT, {"pin": "4711"})
        async with asyncio.timeout(WAIT_S):
            while not bridge.counters.value(metrics.QUARANTINED):
                await asyncio.sleep(0.01)
        kept = await bridge.run_store(lambda store: store.quarantine(100))
        assert {row.error for row in kept} <= {"too_fast", "not_sealed"}
        assert {row.payload for row in kept} == {b""}


async def test_a_device_with_a_key_may_not_send_in_clear(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Nor may anybody write or read its twin in clear; the refusal itself is sealed for it."""
    async with sealed_world(mosquitto, tmp_path) as world:
        await world.client.publish(REPORT, {"on": True})
        await world.client.publish("sync/lamp-1/desire/eve", {"on": True})
        await world.client.publish("sync/lamp-1/delete/eve")
        await world.client.publish("sync/lamp-1/get/eve")
        assert (await world.client.next("sync/lamp-1/reply/eve"))["$"]["error"] == "not_sealed"
        await world.client.publish("sync/lamp-1/presence", b"offline")
        kept = await world.refusals(4)
        assert {(row.code, row.error) for row in kept} == {(401, "not_sealed")}
        assert {(row.payload, row.withheld) for row in kept} == {(b"", "secret")}
        await world.client.publish("sync/lamp-1/get/lamp-1")
        answer = await world.lamp.answer(REPLY)
        assert (answer["code"], answer["error"]) == (401, "not_sealed")


async def test_clear_messages_can_be_allowed_while_a_fleet_moves(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What is sealed is opened all the same."""
    async with sealed_world(mosquitto, tmp_path, refuse_clear=False) as world:
        await world.client.publish(REPORT, {"on": True, "$": {"id": "a"}})
        assert (await world.lamp.answer(REPLY))["ok"]
        await world.lamp.publish(REPORT, {"on": False, "$": {"id": "b"}})
        assert (await world.lamp.answer(REPLY))["version"] == 2


async def test_what_is_desired_goes_down_sealed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """An application seals with its own key, and reads with it what it asks for."""
    async with sealed_world(mosquitto, tmp_path) as world:
        await world.app.publish("sync/lamp-1/desire/app-1", {**SECRET, "$": {"id": "d"}})
        assert (await world.app.answer("sync/lamp-1/reply/app-1"))["ok"]
        assert (await world.lamp.next("sync/lamp-1/delta"))["state"] == SECRET
        await world.app.publish("sync/lamp-1/get/app-1")
        assert (await world.app.next("sync/lamp-1/reply/app-1"))["desired"] == SECRET


async def test_presence_is_taken_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A recorded `offline` does not put a device offline again."""
    async with sealed_world(mosquitto, tmp_path) as world:
        presence = "sync/lamp-1/presence"
        await world.lamp.publish(REPORT, {"on": True})
        offline = await world.lamp.publish(presence, b"offline", retain=True)
        await world.lamp.publish(presence, b"online", retain=True)
        while (await world.lamp.next(STATE)).get("online") is not True:
            pass
        before = await world.version()
        await world.client.publish(presence, offline, retain=True)
        await world.refusals(0)
        assert await world.version() == before


async def test_a_deletion_is_taken_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A recorded one does not delete what was made since; it is answered like the first."""
    async with sealed_world(mosquitto, tmp_path) as world:
        await world.lamp.publish(REPORT, {"on": True, "$": {"id": "a"}})
        await world.lamp.answer(REPLY)
        topic, reply = "sync/lamp-1/delete/app-1", "sync/lamp-1/reply/app-1"
        frame = await world.app.publish(topic, {"$": {"id": "x"}})
        assert (await world.app.answer(reply))["version"] == 2
        await world.lamp.publish(REPORT, {"on": True, "$": {"id": "b"}})
        assert (await world.lamp.answer(REPLY))["version"] == 3
        await world.client.publish(topic, frame)
        answer = await world.app.answer(reply)
        assert (answer["ok"], answer["duplicate"], answer["version"]) == (True, True, 3)


@pytest.mark.parametrize("forget", [True, False])
async def test_a_closed_boot_does_not_come_back(
    mosquitto: Mosquitto, tmp_path: Path, *, forget: bool
) -> None:
    """Not after a restart of the bridge, and not where the twin has forgotten its writer."""
    config = sealing_config(mosquitto, tmp_path)
    (key,) = give_keys(config.store, "lamp-1")
    old = [Sealer(key, "up", REPORT) for _ in range(10)]
    frames = [sealer.seal(b'{"n":%d,"$":{"id":"n"}}' % n) for n, sealer in enumerate(old)]
    async with connected_client(mosquitto, REPLY) as client:
        lamp = SealedClient(client, key)
        async with running_bridge(config) as bridge:
            for frame in frames:
                await client.publish(REPORT, frame)
                assert (await lamp.answer(REPLY))["ok"]
            if forget:
                from bridge.core.orders import ForgetWriter

                await bridge.apply(TwinKey("lamp-1"), ForgetWriter("lamp-1", "reported"))
        async with running_bridge(config):
            await client.publish(REPORT, frames[0])
            answer = await lamp.answer(REPLY)
            assert (answer["ok"], answer["code"], answer["error"]) == (False, 401, "boot_closed")
            await client.publish(REPORT, old[0].seal(b'{"n":99,"$":{"id":"m"}}'))
            assert (await lamp.answer(REPLY))["error"] == "boot_closed"
            await lamp.publish(REPORT, {"n": 10, "$": {"id": "fresh"}})
            assert (await lamp.answer(REPLY))["ok"]
