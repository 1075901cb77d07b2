"""The commands that speak MQTT, on twins that are sealed: with keys, and without."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.status import ExitStatus
from bridge.core.topics import TwinKey
from bridge.device.key_file import write_device_key
from bridge.security.frame import Algorithm
from bridge.security.key_wrapping import KeyWrapper, new_device_key
from bridge.security.sealing import DeviceKey, Opened, Opener, Sealer
from bridge.service import Bridge
from bridge.service.clock import now_us
from tests.api.orders import update
from tests.cli.conftest import Result
from tests.device.sessions import get_answer
from tests.support.bridge import connected_client, retained, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import WRAPPING_KEY, give_keys, sealing_config


class World:
    """A bridge with a sealed lamp and an application, and the program beside it.

    Attributes:
        bridge: The bridge.
        broker: Its broker.
    """

    def __init__(
        self,
        bridge: Bridge,
        broker: Mosquitto,
        directory: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.bridge = bridge
        self.broker = broker
        self._directory = directory
        self._capsys = capsys

    async def call(self, *words: str, status: int = ExitStatus.OK) -> Result:
        """Call the program; returns how it ended."""
        url = f"mqtt://{self.broker.host}:{self.broker.port}"
        ended = await asyncio.to_thread(main, ["--broker", url, *words])
        captured = self._capsys.readouterr()
        assert ended == status, captured
        return Result(ended, captured.out, captured.err)

    def keep(self, key: DeviceKey, name: str) -> str:
        """Write a key into a file, and return its name."""
        path = self._directory / f"{name}.key"
        write_device_key(path, key)
        return str(path)

    async def give(self, device: str) -> DeviceKey:
        """Give somebody the next key, as administration does."""
        key_id = await self.bridge.run_store(lambda store: store.device_keys.next_id(device))
        key = new_device_key(device, key_id, Algorithm.AES_256_GCM)
        wrapped = KeyWrapper(WRAPPING_KEY).wrap(key)
        await self.bridge.run_store(
            lambda store: store.device_keys.install(device, key_id, 1, wrapped, now_us())
        )
        await self.bridge.administrator.keys_changed(device)
        return key


@pytest.fixture
async def world(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    """The keys lie in lamp-1.key and app-1.key."""
    config = sealing_config(mosquitto, tmp_path)
    keys = give_keys(config.store, "lamp-1", "app-1")
    async with running_bridge(config) as bridge:
        world = World(bridge, mosquitto, tmp_path, capsys)
        for key in keys:
            world.keep(key, key.device)
        yield world


async def test_a_twin_is_written_read_and_deleted_with_a_key(world: World) -> None:
    """Under the name of the key; the broker carries nothing that can be read."""
    async with connected_client(world.broker, "sync/lamp-1/#") as eve:
        made = await world.call("set", "lamp-1", "desired.on=true", "--key", "app-1.key")
        assert made.out == "lamp-1 version 1\n"
        await world.call("set", "lamp-1", "reported.on=false", "--key", "lamp-1.key")
        got = await world.call("get", "lamp-1", "--json", "--key", "app-1.key")
        assert json.loads(got.out)["reported"] == {"on": False}
        meta = await world.call("get", "lamp-1", "--meta", "--json", "--key", "app-1.key")
        assert json.loads(meta.out)["meta"]["desired"]["on"]["$changed_by"] == "app-1"
        await world.call("set", "lamp-1", "desired.on=1", "--no-wait", "--key", "app-1.key")
        await world.call("delete", "lamp-1", "--yes", "--key", "app-1.key")
        await world.call("get", "lamp-1", "--key", "app-1.key", status=ExitStatus.NOT_FOUND)
        while "reply/app-1" not in (message := await eve.next_message()).topic.value:
            assert message.payload[:1] in (b"", b"\xc7", b"\xc8")  # type: ignore[index]


async def test_what_is_missing_is_said(world: World) -> None:
    """The option, and whose key; not bytes, and not only that nothing came."""
    sealed = await world.call("get", "lamp-1", "--as", "app-1", status=ExitStatus.FAILURE)
    assert "reply to app-1 is sealed" in sealed.err
    assert "--key FILE with the key of app-1" in sealed.err
    clear = await world.call("get", "lamp-1", "--as", "nobody", status=ExitStatus.REFUSED)
    assert "not_sealed" in clear.err
    assert "--key FILE" in clear.err
    wrong = ("set", "lamp-1", "--key", "app-1.key")
    other = await world.call(*wrong, "reported.on=true", status=ExitStatus.USAGE)
    assert "of app-1" in other.err
    await world.call(*wrong, "desired.on=true", "--as", "app-2", status=ExitStatus.USAGE)
    await world.call("get", "lamp-1", "--key", "none.key", status=ExitStatus.USAGE)
    await world.call("get", "lamp-1", "--at", "1", "--key", "app-1.key", status=ExitStatus.USAGE)
    await world.bridge.run_store(lambda store: store.device_keys.revoke("app-1", None, now_us()))
    await world.bridge.administrator.keys_changed("app-1")
    revoked = await world.call(
        *("get", "lamp-1", "--key", "app-1.key", "--timeout", "500ms"),
        status=ExitStatus.UNAVAILABLE,
    )
    assert "key 1 of app-1" in revoked.err
    assert "syncbridge keys list app-1" in revoked.err


async def test_a_new_key_is_understood_with_its_first_use(world: World) -> None:
    """And what was asked counts once."""
    world.keep(await world.give("app-1"), "new")
    made = await world.call("set", "lamp-1", "desired.n=1", "--key", "new.key")
    assert made.out.startswith("lamp-1 version 1")
    keys = await world.bridge.run_store(lambda store: store.device_keys.of_device("app-1"))
    assert [key.state for key in keys] == ["active", "retiring"]
    again = await world.call("get", "lamp-1", "desired.n", "--key", "new.key")
    assert again.out == "1\n"


async def test_an_answer_under_the_key_before_is_asked_for_once_more(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """With the same bytes: a busy bridge has sent it before it knew that the new key has come."""
    old, new = (DeviceKey("app-1", n, Algorithm.AES_256_GCM, bytes([n]) * 32) for n in (1, 2))
    write_device_key(tmp_path / "new.key", new)
    asked, reply = "sync/lamp-1/get/app-1", "sync/lamp-1/reply/app-1"
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    async with connected_client(mosquitto, asked) as bridge:
        words = ["--broker", url, "get", "lamp-1", "--key", "new.key"]
        calling = asyncio.create_task(asyncio.to_thread(main, words))
        frames = []
        for key in (old, new):
            frames.append((await bridge.next_message(asked)).payload)
            opened = Opener().open(frames[-1], [new], "up", asked)  # type: ignore[arg-type]
            assert isinstance(opened, Opened)
            answer = get_answer(json.loads(opened.payload)["$"]["id"])
            await bridge.publish(reply, Sealer(key, "down", reply).seal(answer))
        assert await calling == ExitStatus.OK
    assert frames[0] == frames[1]


async def test_sealed_twins_are_listed(world: World) -> None:
    """As sealed; or as they are, with their keys. How many could not be read is said."""
    await world.call("set", "lamp-1", "desired.on=true", "--key", "app-1.key")
    await world.call("set", "clear-1", "reported.on=true")
    closed = await world.call("devices")
    rows = [line.split() for line in closed.out.splitlines()]
    assert [row[:3] for row in rows[1:]] == [["clear-1", "-", "1"], ["lamp-1", "-", "sealed"]]
    assert rows[2][-1] == "yes"
    assert closed.err.startswith("1 of 2 twins are sealed")
    assert "--key FILE" in closed.err
    listed = await world.call("devices", "--json")
    (row,) = [row for row in json.loads(listed.out) if row["device"] == "lamp-1"]
    told = {"device": "lamp-1", "name": "", "delta": True, "sealed": True}
    assert row == {**told, "online": None, "version": None, "at": None}
    opened = await world.call("devices", "--key", "lamp-1.key", "--key", "app-1.key")
    assert opened.err == ""
    assert opened.out.splitlines()[2].split()[:3] == ["lamp-1", "-", "1"]


async def test_sealed_twins_are_watched(world: World) -> None:
    """With the device's key; without it that is said, once of each."""
    await world.call("set", "lamp-1", "desired.on=true", "--key", "app-1.key")
    watch = ("watch", "lamp-1", "--json")
    shown = await world.call(*watch, "--count", "2", "--key", "lamp-1.key")
    events = {event["event"]: event for event in map(json.loads, shown.out.splitlines())}
    assert events["state"]["desired"] == events["delta"]["delta"] == {"on": True}
    assert shown.err == ""
    calling = asyncio.create_task(world.call(*watch, "--for", "1s", "--key", "app-1.key"))
    for n in itertools.takewhile(lambda _: not calling.done(), itertools.count()):
        await world.bridge.apply(TwinKey("lamp-1"), update({"n": n}))
        await asyncio.sleep(0.1)
    closed = await calling
    assert closed.out == ""
    assert closed.err.count("is sealed") == 2
    assert "--key FILE with the key of lamp-1 opens it" in closed.err


async def test_a_key_of_a_group_opens_states_and_no_deltas(world: World) -> None:
    """And what comes in clear for a device whose key was given is not shown."""
    hall = DeviceKey("hall", 1, Algorithm.AES_256_GCM, bytes(range(32)))
    world.keep(hall, "hall")
    state = {"version": 7, "at": 1, "reported": {"n": 7}, "desired": {}}
    delta = {"version": 7, "at": 1, "state": {"n": 8}}
    async with connected_client(world.broker) as client:
        for device in ("door-1", "lamp-1"):
            for verb, document in (("state", state), ("delta", delta)):
                topic = f"sync/{device}/{verb}"
                sealed = Sealer(hall, "down", topic).seal(json.dumps(document).encode())
                payload = sealed if device == "door-1" else json.dumps(document)
                await client.publish(topic, payload, retain=True)
    assert len(await retained(world.broker, "sync/+/state")) == 2
    shown = await world.call(
        *("watch", "--json", "--for", "500ms", "--key", "hall.key", "--key", "lamp-1.key")
    )
    (event,) = map(json.loads, shown.out.splitlines())
    assert (event["event"], event["device"], event["reported"]) == ("state", "door-1", {"n": 7})
    assert "the delta of door-1 is sealed" in shown.err
    assert shown.err.count("it is in clear") == 2
