"""A device that seals, a real bridge, a real broker, and somebody who has all that it carries."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import orjson
import pytest

from bridge.config import Config
from bridge.core.limits import Limits
from bridge.core.orders import ForgetWriter
from bridge.core.readers import Readers
from bridge.core.refusal import Refusal
from bridge.core.topics import TwinKey
from bridge.device import Device, JsonObject
from bridge.device.boot import begin
from bridge.device.events import OutgoingMessage
from bridge.device.payload import UnreadableError
from bridge.device.seal import Seal
from bridge.errors import ConfigError
from bridge.security.sealing import DeviceKey, Opener, Sealer
from bridge.store.sqlite import SqliteStore
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import WAIT_S, Client, connected_client, retained, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import SealedClient, give_key, give_keys, sealing_config

KEY = TwinKey("lamp-1")
REPORT = "sync/lamp-1/report"
TARIFF = "night-4711"


class Place(NamedTuple):
    """A broker, the settings of a bridge, two keys, and all that the broker carries."""

    broker: Mosquitto
    config: Config
    lamp: DeviceKey
    app: DeviceKey
    eve: Client

    def device(self, **options: object) -> Device:
        """The lamp."""
        return Device("lamp-1", port=self.broker.port, sealing=self.lamp, **options)  # type: ignore[arg-type]


@pytest.fixture
async def place(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Place]:
    """Keys for a lamp and an application, and a client that sees everything."""
    config = sealing_config(mosquitto, tmp_path)
    lamp, app = give_keys(config.store, "lamp-1", "app-1")
    async with connected_client(mosquitto, "sync/#") as eve:
        yield Place(mosquitto, config, lamp, app, eve)


async def report(lamp: Device, patch: JsonObject) -> int:
    """Report, and return the version that the bridge answers with."""
    answer = await asyncio.to_thread(lamp.report(patch).wait, PATIENCE_S)
    return answer.version


async def seen(eve: Client, topic: str) -> bytes:
    """The next bytes on a topic, as the broker carries them."""
    payload = (await eve.next_message(topic)).payload
    assert isinstance(payload, bytes)
    return payload


async def until_online(app: SealedClient, *, online: bool) -> None:
    """Ask until the lamp is there, or is not."""
    async with asyncio.timeout(WAIT_S):
        while True:
            await app.publish("sync/lamp-1/get/app-1")
            answer = await app.next("sync/lamp-1/reply/app-1")
            if answer.get("online") is online:
                return


async def test_everything_goes_both_ways_and_nothing_is_shown(place: Place) -> None:
    """Reports and answers, what is wanted, and what is asked for: topics and opaque bytes."""
    wanted: queue.Queue[JsonObject] = queue.Queue()
    app = SealedClient(place.eve, place.app)
    async with running_bridge(place.config):
        with place.device() as lamp:
            lamp.on_delta(wanted.put)
            await report(lamp, {"secret": TARIFF})
            carried = {await seen(place.eve, REPORT)}
            await app.publish("sync/lamp-1/desire/app-1", {"secret": TARIFF + "!"})
            delta = await asyncio.to_thread(wanted.get, True, PATIENCE_S)
            assert delta == {"secret": TARIFF + "!"}
            await report(lamp, delta)
            twin = await asyncio.to_thread(lamp.get, PATIENCE_S)
            assert twin.reported == twin.desired == {"secret": TARIFF + "!"}
            for verb in ("reply/lamp-1", "delta", "state"):
                carried.add(await seen(place.eve, f"sync/lamp-1/{verb}"))
    assert not any(b"night" in payload or b"reported" in payload for payload in carried)


async def test_what_was_recorded_is_of_no_use(place: Place) -> None:
    """Sent again, on another topic, or with one bit flipped: refused, and that is seen."""
    async with running_bridge(place.config) as bridge:
        with place.device() as lamp:
            await report(lamp, {"on": True})
            frame = await seen(place.eve, REPORT)
            await report(lamp, {"on": False})
            flipped = bytearray(frame)
            flipped[40] ^= 1
            await place.eve.publish(REPORT, frame)
            await place.eve.publish("sync/lamp-1/desire/app-1", frame)
            await place.eve.publish(REPORT, bytes(flipped))
            await report(lamp, {"on": 3})
        history = await bridge.run_store(lambda store: store.history(KEY, None, 10))
        assert [row.patch for row in history] == [b'{"on":3}', b'{"on":false}', b'{"on":true}']
        kept = await bridge.run_store(lambda store: store.quarantine(10))
        assert [(row.topic, row.error) for row in kept] == [
            (REPORT, "seal_not_valid"),
            ("sync/lamp-1/desire/app-1", "seal_not_valid"),
        ]
        assert bridge.counters.value("updates_duplicate") >= 1


async def test_bridge_and_device_may_start_again(place: Place, tmp_path: Path) -> None:
    """What waited is sent as it was sealed; what was recorded before stays of no use."""
    outbox = tmp_path / "outbox"
    async with running_bridge(place.config):
        with place.device(outbox=outbox) as lamp:
            await report(lamp, {"n": 1})
            first = await seen(place.eve, REPORT)
    lamp = place.device(outbox=outbox, retry_after_s=0.1)
    lamp.start()
    lamp.report({"n": 2})
    waiting = await seen(place.eve, REPORT)
    assert await seen(place.eve, REPORT) == waiting
    await asyncio.to_thread(lamp.close, 0.0)
    async with running_bridge(place.config) as bridge:
        with place.device(outbox=outbox) as lamp:
            again = await seen(place.eve, REPORT)
            assert again == waiting
            await place.eve.publish(REPORT, first)
            await place.eve.publish(REPORT, waiting)
            await report(lamp, {"n": 3})
            twin = await asyncio.to_thread(lamp.get, PATIENCE_S)
        history = await bridge.run_store(lambda store: store.history(KEY, None, 10))
    assert twin.reported == {"n": 3}
    assert [row.patch for row in history] == [b'{"n":3}', b'{"n":2}', b'{"n":1}']


async def test_a_device_opens_nothing_that_was_not_sealed_for_it(place: Place) -> None:
    """Whoever holds the broker cannot tell it what is wanted."""
    wanted: queue.Queue[JsonObject] = queue.Queue()
    app = SealedClient(place.eve, place.app)
    async with running_bridge(place.config):
        with place.device() as lamp:
            lamp.on_delta(wanted.put)
            await report(lamp, {"on": True})
            forged = {"version": 99, "at": 1, "state": {"on": "forged"}}
            await place.eve.publish("sync/lamp-1/delta", forged)
            await place.eve.publish("sync/lamp-1/delta", await seen(place.eve, REPORT))
            await app.publish("sync/lamp-1/desire/app-1", {"on": False})
            assert await asyncio.to_thread(wanted.get, True, PATIENCE_S) == {"on": False}


async def test_a_member_of_a_group_opens_what_is_retained_for_it(place: Place) -> None:
    """Where nobody answers either; without the group's key it opens for nobody."""
    readers = Readers.parse([{"devices": "lamp-*", "group": "hall"}])
    sealing = place.config.sealing.model_copy(update={"readers": readers})
    config = place.config.model_copy(update={"sealing": sealing})
    (hall,) = give_keys(config.store, "hall")
    async with running_bridge(config):
        with place.device() as lamp:
            await report(lamp, {"secret": TARIFF})
            # It is no reader of its own state, and asks the bridge.
            twin = await asyncio.to_thread(lamp.state_of, "lamp-1", PATIENCE_S)
            assert twin is not None
            assert twin.reported == {"secret": TARIFF}
    with Device("app-1", port=place.broker.port, sealing=[place.app, hall]) as panel:
        twin = await asyncio.to_thread(panel.state_of, "lamp-1", PATIENCE_S)
        assert twin is not None
        assert twin.reported == {"secret": TARIFF}
    topic = "sync/lamp-1/state"
    carried = (await retained(place.broker, topic))[topic]
    with pytest.raises(UnreadableError):
        Seal("app-1", [place.app]).open(topic, carried)


async def test_a_device_takes_nothing_for_itself_from_its_group(place: Place) -> None:
    """Any other member could have sealed it; nor does it seal anything with that key."""
    wanted: queue.Queue[JsonObject] = queue.Queue()
    app = SealedClient(place.eve, place.app)
    (hall,) = give_keys(place.config.store, "hall")
    forged = b'{"version":99,"at":1,"state":{"on":"forged"},"reported":{},"desired":{}}'
    async with running_bridge(place.config):
        with Device("lamp-1", port=place.broker.port, sealing=[place.lamp, hall]) as lamp:
            lamp.on_delta(wanted.put)
            await report(lamp, {"on": True})
            for topic in ("sync/lamp-1/delta", "sync/lamp-1/state"):
                frame = Sealer(hall, "down", topic).seal(forged)
                await place.eve.publish(topic, frame, retain=True)
            twin = await asyncio.to_thread(lamp.state_of, "lamp-1", PATIENCE_S)
            assert twin is not None
            assert twin.version < 99
            await app.publish("sync/lamp-1/desire/app-1", {"on": False})
            assert await asyncio.to_thread(wanted.get, True, PATIENCE_S) == {"on": False}


def test_the_key_of_a_group_opens_states_of_others_and_seals_nothing(place: Place) -> None:
    """By the topic: what stands on any other is no state of another device."""
    hall, cellar = (DeviceKey(group, 1, place.lamp.algorithm, bytes(32)) for group in "hc")
    seal = Seal("lamp-1", [place.lamp, hall, cellar])
    for topic in ("sync/lamp-2/state", "sync/lamp-2/inside/state"):
        for key in (hall, cellar):
            assert seal.open(topic, Sealer(key, "down", topic).seal(b"{}")) == b"{}"
    below = ("delta", "inside/delta", "resync", "reply/lamp-1", "state", "inside/state")
    for topic in (*(f"sync/lamp-1/{each}" for each in below), "sync/lamp-2/reply/lamp-1"):
        with pytest.raises(UnreadableError):
            seal.open(topic, Sealer(hall, "down", topic).seal(b"{}"))
        assert seal.open(topic, Sealer(place.lamp, "down", topic).seal(b"{}")) == b"{}"
    sent = seal.close(OutgoingMessage(REPORT, b"{}"))
    assert not isinstance(Opener().open(sent.payload, [place.lamp], "up", REPORT), Refusal)
    with pytest.raises(ValueError, match="first key is of h, not of lamp-1"):
        Seal("lamp-1", [hall, place.lamp])


async def test_a_device_goes_over_to_a_new_key(place: Place) -> None:
    """With both for a while: what is retained may still be sealed with the one before."""
    async with running_bridge(place.config):
        with place.device() as lamp:
            await report(lamp, {"on": 1})
    store = SqliteStore.open(place.config.store.path, limits=place.config.store.to_limits())
    new = give_key(store)
    store.close()
    async with running_bridge(place.config) as bridge:
        with Device("lamp-1", port=place.broker.port, sealing=[new, place.lamp]) as lamp:
            await report(lamp, {"on": 2})
        with Device("lamp-1", port=place.broker.port, sealing=new) as lamp:
            assert (await asyncio.to_thread(lamp.get, PATIENCE_S)).reported == {"on": 2}
        keys = await bridge.run_store(lambda held: held.device_keys.of_device("lamp-1"))
        assert [key.state for key in keys] == ["active", "retiring"]


async def test_a_lost_connection_is_said_each_time(place: Place) -> None:
    """The last will is sealed anew for every connection, so that none is a repeat."""
    app = SealedClient(place.eve, place.app)

    async with running_bridge(place.config):
        lamp = place.device(keepalive_s=5)
        lamp.start()
        await report(lamp, {"on": True})
        for _ in range(2):
            await until_online(app, online=True)
            # As a broken line does it: the socket is gone, and the broker publishes the will.
            shut_down(lamp)
            await until_online(app, online=False)
        await asyncio.to_thread(lamp.close)


async def test_a_device_begins_a_new_boot_when_the_bridge_has_closed_its(place: Place) -> None:
    """By itself: nothing is lost, nothing counts twice, and a lost connection is still noticed."""
    app = SealedClient(place.eve, place.app)

    async with running_bridge(place.config) as bridge:
        lamp = place.device(keepalive_s=5)
        lamp.start()
        for n in range(3):
            await report(lamp, {"n": n})
        boot = lamp._session.boot
        await bridge.apply(KEY, ForgetWriter("lamp-1", "reported"))
        waiting = [lamp.report({"n": n}) for n in range(3, 6)]
        for each in waiting:
            await asyncio.to_thread(each.wait, PATIENCE_S)
        assert lamp._session.boot != boot
        history = await bridge.run_store(lambda store: store.history(KEY, None, 10))
        written = [orjson.loads(row.patch)["n"] for row in reversed(history)]
        assert written[:3] == [0, 1, 2]
        assert written[-1] == 5
        assert sorted(set(written)) == written
        await until_online(app, online=True)
        assert lamp._pump._boot_of_will != boot
        await report(lamp, {"connected": "again"})
        shut_down(lamp)
        await until_online(app, online=False)
        await asyncio.to_thread(lamp.close)


def shut_down(lamp: Device) -> None:
    """Break its line, once it has one."""
    socket = lamp._pump._connection._client.socket()
    assert socket is not None
    socket.shutdown(2)


def test_a_key_comes_from_a_private_file(tmp_path: Path) -> None:
    """As `syncbridge keys create` writes it; others may have no right on it."""
    path = tmp_path / "lamp-1.key"
    path.touch(mode=0o600)
    key = {"device": "lamp-1", "key_id": 1, "algorithm": "aes-256-gcm", "key": "5a" * 32}
    path.write_text(json.dumps(key))
    begin("lamp-1", path, Limits())
    begin("lamp-1", [str(path)], Limits())
    with pytest.raises(ValueError, match="of lamp-1, not of lamp-2"):
        begin("lamp-2", path, Limits())
    with pytest.raises(ValueError, match="at least one key"):
        begin("lamp-1", [], Limits())
    for wrong in ({**key, "key": "5a"}, {**key, "algorithm": "rot13"}, {**key, "key_id": -1}, [1]):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match="holds no key") as refused:
            begin("lamp-1", path, Limits())
        assert "5a5a" not in str(refused.value)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        begin("lamp-1", path, Limits())
    with pytest.raises(ConfigError, match="cannot be read"):
        begin("lamp-1", tmp_path / "none", Limits())


async def test_the_twin_is_as_the_device_has_reported_it(place: Place) -> None:
    """In the store it is in clear: it is the broker that may not read."""
    async with running_bridge(place.config) as bridge:
        with place.device() as lamp:
            await report(lamp, {"secret": TARIFF})
        state = (await bridge.run_store(lambda store: store.load([KEY])))[KEY].state
        assert TARIFF.encode() in state
