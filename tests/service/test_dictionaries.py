"""Dictionaries, from the training to what devices send and are sent, on a real broker."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.api import AdminClient, dictionaries
from bridge.config import Config
from bridge.core.compression import CompressionRules
from bridge.core.limits import Limits
from bridge.device import Device
from bridge.service.clock import now_us
from bridge.store.dictionaries import StoredDictionary
from bridge.store.sqlite import SqliteStore
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries, Dictionary
from bridge.wire.dictionaries import train as make_dictionary
from bridge.wire.inbound import decode_body
from bridge.wire.wrappers import is_wrapper
from tests.support.bridge import Client, connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

FLEET = 120
POINTER = "sync/$bridge/dictionary"


def config_for(broker: Mosquitto, directory: Path, **down: str) -> Config:
    """A bridge that compresses what goes down to devices of these patterns."""
    rules = {pattern: {"down": how} for pattern, how in down.items()}
    return make_config(broker, directory, compression=CompressionRules.parse(rules))


def report(number: int) -> dict[str, Any]:
    """What a device of the fleet reports."""
    return {"on": number % 2 == 0, "brightness": number, "mode": "evening",
            "color": {"red": number, "green": 2}, "firmware": "2.14.1"}  # fmt: skip


async def make_fleet(client: Client) -> None:
    """Have twins to train from."""
    await client.subscribe(f"sync/lamp-{FLEET - 1}/state")
    for number in range(FLEET):
        await client.publish(f"sync/lamp-{number}/report", report(number))
    await client.until_version(f"sync/lamp-{FLEET - 1}/state", 1)


async def train(config: Config) -> int:
    """Train a dictionary as the command line does; returns its id."""

    def ask() -> int:
        with AdminClient(config.store.path) as client:
            answer = client.train_dictionary(2048)
        number = answer["id"]
        assert isinstance(number, int)
        return number

    return await asyncio.to_thread(ask)


def train_offline(config: Config) -> int:
    """Make a dictionary the only one of a store that no bridge holds; returns its id."""
    made = make_dictionary([orjson.dumps(report(number)) for number in range(FLEET)], 2048)
    with closing(SqliteStore.open(config.store.path, limits=config.store.to_limits())) as store:
        store.dictionaries.add(StoredDictionary(made.id, now_us(), FLEET, made.content), 1)
    return made.id


async def dictionary_of(client: Client, number: int) -> Dictionary:
    """Wait for a dictionary on its topic."""
    payload = (await client.next_message(f"{POINTER}/{number}")).payload
    assert isinstance(payload, bytes)
    return Dictionary(number, payload)


async def test_a_trained_dictionary_is_announced_and_used_both_ways(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A device sends with it, and is sent its own reply and its delta with it."""
    config = config_for(mosquitto, tmp_path, **{"lamp-*": "dictionary"})
    async with (
        running_bridge(config),
        connected_client(mosquitto, f"{POINTER}/+", POINTER) as client,
    ):
        await make_fleet(client)
        number = await train(config)
        known = Dictionaries([await dictionary_of(client, number)])
        pointer = await client.next(POINTER)
        assert pointer["id"] == number
        assert pointer["ids"] == [number]

        for topic in ("reply/lamp-1", "delta"):
            await client.subscribe(f"sync/lamp-1/{topic}")
        said = {**report(500), "$": {"id": "r1", "boot": "b", "seq": 1}}
        packed = compress(orjson.dumps(said), "dictionary", known)
        await client.publish("sync/lamp-1/report", packed)
        answer = (await client.next_message("sync/lamp-1/reply/lamp-1")).payload
        await client.publish("sync/lamp-1/desire/app", {**report(7), "mode": "night"})
        delta = (await client.next_message("sync/lamp-1/delta")).payload

    assert isinstance(answer, bytes)
    assert isinstance(delta, bytes)
    assert is_wrapper(delta)
    plain = decode_body(answer, Limits(), known).plain
    assert orjson.loads(plain)["$"]["id"] == "r1"
    assert decode_body(delta, Limits(), known).state["state"]["mode"] == "night"  # type: ignore[index,call-overload]


async def test_the_same_report_compressed_or_not_is_one_report(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A device that sends again what was not answered may do so without a dictionary."""
    config = config_for(mosquitto, tmp_path)
    topic = "sync/lamp-1/reply/lamp-1"
    plain = orjson.dumps({"mode": "evening" * 20, "$": {"id": "r1", "boot": "b", "seq": 1}})
    packed = compress(plain, "zstd", Dictionaries())
    assert packed != plain
    async with running_bridge(config), connected_client(mosquitto, topic) as client:
        await client.publish("sync/lamp-1/report", packed)
        assert "duplicate" not in (await client.next(topic))["$"]
        await client.publish("sync/lamp-1/report", plain)
        assert (await client.next(topic))["$"]["duplicate"] is True


async def test_what_is_not_listed_goes_down_as_it_is(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The state does in any case: people and programs read it."""
    config = config_for(mosquitto, tmp_path, **{"meter-*": "zlib", "meter-7": "none"})
    async with running_bridge(config), connected_client(mosquitto) as client:
        for device in ("meter-1", "meter-7", "lamp-1"):
            await client.subscribe(f"sync/{device}/delta")
            await client.publish(f"sync/{device}/desire/app", {"mode": "evening" * 20})
            payload = (await client.next_message(f"sync/{device}/delta")).payload
            assert isinstance(payload, bytes)
            assert is_wrapper(payload) == (device == "meter-1")
    states = await retained(mosquitto, "sync/+/state")
    assert not any(map(is_wrapper, states.values()))


async def test_a_dictionary_is_announced_again_by_the_next_process(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also where the broker has lost it; and what was made with it is still opened."""
    config = config_for(mosquitto, tmp_path)
    async with running_bridge(config), connected_client(mosquitto) as client:
        await make_fleet(client)
        number = await train(config)
    for topic in await retained(mosquitto, f"{POINTER}/+", POINTER):
        async with connected_client(mosquitto) as client:
            await client.publish(topic, b"", retain=True)
    async with (
        connected_client(mosquitto, f"{POINTER}/+", "sync/lamp-1/state") as client,
        running_bridge(config),
    ):
        known = Dictionaries([await dictionary_of(client, number)])
        packed = compress(orjson.dumps(report(901)), "dictionary", known)
        await client.publish("sync/lamp-1/report", packed)
        state = await client.until_version("sync/lamp-1/state", 2)
    assert state["reported"]["brightness"] == 901


async def test_the_device_library_fetches_the_dictionary_and_uses_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """For what it sends, and for what it is sent; also one that was trained while it is online."""
    config = config_for(mosquitto, tmp_path, **{"lamp-*": "dictionary"})
    report_topic = "sync/lamp-1/report"
    async with (
        running_bridge(config),
        connected_client(mosquitto, POINTER, report_topic) as client,
    ):
        await make_fleet(client)
        number = await train(config)
        wanted: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        with Device("lamp-1", port=mosquitto.port, compression="dictionary") as lamp:
            lamp.on_delta(lambda delta: loop.call_soon_threadsafe(wanted.put_nowait, delta))
            for _ in range(2):
                await until_sent_with(client, lamp, number)
                await client.publish("sync/lamp-1/desire/app", {"mode": f"night {number}" * 5})
                async with asyncio.timeout(60):
                    while (await wanted.get()).get("mode") != f"night {number}" * 5:
                        pass
                number = await train(config)


async def until_sent_with(client: Client, lamp: Device, number: int) -> None:
    """Report until a report has gone out that was compressed with a dictionary."""
    counted = 0
    while True:
        counted += 1
        answer = lamp.report({**report(counted), "counted": counted})
        await asyncio.to_thread(answer.wait, 60)
        payload = (await client.next_message("sync/lamp-1/report")).payload
        assert isinstance(payload, bytes)
        if is_wrapper(payload):
            refusal = decode_body(payload, Limits()).refusal
            if refusal is not None and f"needs dictionary {number}," in refusal.message:
                return


def delta_with(payload: bytes, known: Dictionaries) -> Any:
    """What a delta holds that was compressed with one of these dictionaries."""
    assert is_wrapper(payload)
    body = decode_body(payload, Limits(), known)
    assert body.refusal is None, body.refusal
    return body.state["state"]  # type: ignore[index,call-overload]


async def test_deltas_are_compressed_anew_before_their_dictionary_goes(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that comes later can read what is retained for it."""
    monkeypatch.setattr(dictionaries, "DICTIONARIES_KEPT", 1)
    config = config_for(mosquitto, tmp_path, **{"lamp-*": "dictionary"})
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/lamp-1/delta", f"{POINTER}/+") as client,
    ):
        await make_fleet(client)
        first = await train(config)
        await client.publish("sync/lamp-1/desire/app", {**report(7), "mode": "night"})
        await client.next_message("sync/lamp-1/delta")
        second = await train(config)
        known = Dictionaries([await dictionary_of(client, second)])
        delta = (await client.next_message()).payload
        assert isinstance(delta, bytes)
        assert delta_with(delta, known)["mode"] == "night"
        gone = await client.next_message()
        assert (gone.topic.value, gone.payload) == (f"{POINTER}/{first}", b"")
        acts = await bridge.run_store(lambda store: store.audit(10))
    told = [(row.act, row.target) for row in acts if row.act.startswith("dictionary.")]
    assert told == [("dictionary.train", str(second)), ("dictionary.train", str(first))]
    found = await retained(mosquitto, "sync/lamp-1/delta", f"{POINTER}/+")
    assert sorted(found) == [f"{POINTER}/{second}", "sync/lamp-1/delta"]


async def test_a_dictionary_that_went_while_no_bridge_ran_is_forgotten_by_the_next(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained without a bridge, or with one that was killed before it could."""
    monkeypatch.setattr(dictionaries, "DICTIONARIES_KEPT", 1)
    config = config_for(mosquitto, tmp_path, **{"lamp-*": "dictionary"})
    async with running_bridge(config), connected_client(mosquitto) as client:
        await make_fleet(client)
        first = await train(config)
        await client.subscribe("sync/lamp-1/delta")
        await client.publish("sync/lamp-1/desire/app", {**report(7), "mode": "night"})
        await client.next_message("sync/lamp-1/delta")
    second = await asyncio.to_thread(train_offline, config)
    async with connected_client(mosquitto, f"{POINTER}/+") as client:
        await client.next_message(f"{POINTER}/{first}")
        async with running_bridge(config):
            known = Dictionaries([await dictionary_of(client, second)])
            assert (await client.next_message(f"{POINTER}/{first}")).payload == b""
    found = await retained(mosquitto, "sync/lamp-1/delta")
    assert delta_with(found["sync/lamp-1/delta"], known)["mode"] == "night"
