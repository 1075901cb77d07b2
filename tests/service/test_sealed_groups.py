"""Groups that read the states of sealed devices: what opens, what is believed, and their keys."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.api import AdminClient
from bridge.config import Config
from bridge.core.readers import Readers
from bridge.core.refusal import Refusal
from bridge.errors import AdminRefused, ConfigError
from bridge.security.frame import Algorithm
from bridge.security.sealing import DeviceKey, Opener
from bridge.service import Bridge, changed_keys
from bridge.service.changed_keys import KEYS_TOLD_AT
from bridge.service.clock import now_us
from bridge.service.group_states import READERS_TOLD, ReadersTold
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import WAIT_S, Client, connected_client, retained, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import SealedClient, give_key, give_keys, sealing_config

STATES = "sync/+/state"
LAMPS = ("sync/lamp-1/state", "sync/lamp-2/state")
HALL = Readers.parse([{"devices": "lamp-*", "group": "hall"}])
KEYLESS = "a group of readers has no valid key"


def opens(payload: bytes, topic: str, *keys: DeviceKey) -> bool:
    """Tell whether one of the keys opens what came down."""
    return any(not isinstance(Opener().open(payload, [k], "down", topic), Refusal) for k in keys)


@contextlib.contextmanager
def open_store(config: Config) -> Iterator[SqliteStore]:
    """The store of a bridge that does not run."""
    settings = config.store
    with contextlib.closing(SqliteStore.open(settings.path, limits=settings.to_limits())) as store:
        yield store


class World(NamedTuple):
    """A bridge, two lamps and a plug with keys, one client that sees all, and administration."""

    bridge: Bridge
    client: Client
    broker: Mosquitto
    lamps: tuple[SealedClient, SealedClient]
    plug: SealedClient

    async def report(self, *senders: SealedClient) -> None:
        """Let each report something, and wait until its state is retained."""
        for sender in senders:
            device = sender.key.device
            await sender.publish(f"sync/{device}/report", {"at": now_us(), "$": {"id": "a"}})
            assert (await sender.answer(f"sync/{device}/reply/{device}"))["ok"]
            await self.client.next_message(f"sync/{device}/state")

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Ask the administration something, as a command does in its own process."""

        def ask() -> Any:
            with AdminClient(self.bridge.config.store.path) as client:
                return getattr(client, method)(*arguments, **options)

        return await asyncio.to_thread(ask)

    async def give(self, name: str, *, rotate: bool = False) -> DeviceKey:
        """Give a group its next key."""
        made = await self.ask("create_key", name, None, rotate=rotate)
        secret = bytes.fromhex(made["key"])
        return DeviceKey(name, made["key_id"], Algorithm.AES_256_GCM, secret)

    async def until_opened(self, *keys: DeviceKey) -> None:
        """Wait until one of the keys opens what is retained of lamps; none: until it is gone."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await retained(self.broker, *LAMPS)
                are_opened = all(opens(found.get(topic, b""), topic, *keys) for topic in LAMPS)
                if are_opened if keys else not found:
                    return
                await asyncio.sleep(0.02)


def config_of(broker: Mosquitto, directory: Path, readers: Readers = HALL) -> Config:
    """A configuration with groups, in which states are published in both encodings."""
    config = sealing_config(broker, directory, readers=readers)
    both = config.publish.model_copy(update={"encoding": "both"})
    return config.model_copy(update={"publish": both})


@asynccontextmanager
async def world_of(
    config: Config, broker: Mosquitto, keys: Sequence[DeviceKey]
) -> AsyncIterator[World]:
    """Start the bridge."""
    async with (
        running_bridge(config) as bridge,
        connected_client(
            broker, STATES, "sync/+/reply/+", "sync/+/+/reply/+", "sync/+/delta"
        ) as client,
    ):
        one, two, plug = (SealedClient(client, key) for key in keys)
        yield World(bridge, client, broker, (one, two), plug)


def three_keys(config: Config) -> list[DeviceKey]:
    """Keys of two lamps and a plug."""
    return give_keys(config.store, "lamp-1", "lamp-2", "plug-1")


async def test_a_group_reads_the_states_of_its_devices_and_nothing_else(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Not deltas and replies, not a device of another pattern; who has no key is not sealed for."""
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    (hall,) = give_keys(config.store, "hall")
    async with world_of(config, mosquitto, keys) as world:
        one, two = world.lamps
        await world.report(one, two, world.plug)
        await one.publish("sync/lamp-1/inside/report", {"temp": 1, "$": {"id": "named"}})
        assert (await one.answer("sync/lamp-1/inside/reply/lamp-1"))["ok"]
        await one.publish("sync/lamp-1/desire/lamp-1", {"on": False, "$": {"id": "b"}})
        reply = (await world.client.next_message("sync/lamp-1/reply/lamp-1")).payload
        delta = (await world.client.next_message("sync/lamp-1/delta")).payload
        await world.client.publish("sync/lamp-3/report", {"on": True, "$": {"id": "clear"}})
        assert (await world.client.next("sync/lamp-3/reply/lamp-3"))["$"]["ok"]
        # Behind the acknowledgements of all that was published.
        await world.bridge._publisher.wait_until_idle()
    for topic, payload in (("reply/lamp-1", reply), ("delta", delta)):
        assert isinstance(payload, bytes)
        assert not opens(payload, f"sync/lamp-1/{topic}", hall)
        assert opens(payload, f"sync/lamp-1/{topic}", keys[0])
    found = await retained(mosquitto, "sync/#")
    for twin in ("lamp-1", "lamp-2", "lamp-1/inside"):
        for topic in (f"sync/{twin}/state", f"sync/{twin}/state/msgpack"):
            assert opens(found[topic], topic, hall)
            assert not opens(found[topic], topic, *keys)
    topic = "sync/plug-1/state"
    assert opens(found[topic], topic, keys[2])
    assert not opens(found[topic], topic, hall)
    assert b'"on":true' in found["sync/lamp-3/state"]
    topic = "sync/lamp-1/delta"
    assert opens(found[topic], topic, keys[0])
    assert not opens(found[topic], topic, hall)


async def test_nothing_is_believed_that_a_group_seals(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """All of its members have its key: no report, no wish, no question."""
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    (hall,) = give_keys(config.store, "hall")
    async with world_of(config, mosquitto, keys) as world:
        member = SealedClient(world.client, hall)
        await world.report(world.lamps[0])
        topics = [f"sync/lamp-1/{verb}/hall" for verb in ("desire", "get", "delete")]
        for topic in ("sync/lamp-1/report", "sync/hall/report", *topics):
            await member.publish(topic, {"on": "forged"} if "delete" not in topic else b"")
        # A question is always answered.
        assert (await member.answer("sync/lamp-1/reply/hall"))["error"] == "seal_not_valid"
        await world.client.publish("sync/clear-1/report", {"on": 1, "$": {"id": "fence"}})
        assert (await world.client.next("sync/clear-1/reply/clear-1"))["$"]["ok"]
        kept = await world.bridge.run_store(lambda store: store.quarantine(10))
        assert [(row.code, row.error) for row in kept] == [(401, "seal_not_valid")] * 4
        assert "hall is a group of readers" in kept[0].message
        states = [row["state"] for row in (await world.ask("keys", "hall"))["keys"]]
        assert states == ["active"]


async def test_the_next_key_of_a_group_becomes_active_by_order(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Its states are sealed with it then, and cleared where the group's keys are revoked."""
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    (old,) = give_keys(config.store, "hall")
    async with world_of(config, mosquitto, keys) as world:
        await world.report(*world.lamps)
        with pytest.raises(AdminRefused, match="no key that is next"):
            await world.ask("activate_key", "hall")
        new = await world.give("hall", rotate=True)
        await world.report(*world.lamps)
        found = await retained(mosquitto, STATES)
        assert all(opens(found[topic], topic, old) for topic in LAMPS)
        await world.ask("activate_key", "hall")
        await world.until_opened(new)
        rows = (await world.ask("keys", "hall"))["keys"]
        assert [row["state"] for row in rows] == ["active", "retiring"]
        await world.ask("create_key", "lamp-1", None, rotate=True)
        with pytest.raises(AdminRefused, match=r"no group of sealing\.readers"):
            await world.ask("activate_key", "lamp-1")
        await world.ask("revoke_keys", "hall")
        await world.until_opened()
        assert not set(LAMPS) & (await retained(mosquitto, STATES)).keys()
        again = await world.give("hall")
        await world.until_opened(again)


async def test_forgotten_keys_leave_no_state_with_the_wrong_reader(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Of a forgotten device it is in clear, group or not; of a forgotten group there is none."""
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    (hall,) = give_keys(config.store, "hall")
    async with world_of(config, mosquitto, keys) as world:
        await world.report(*world.lamps)
        await world.ask("revoke_keys", "lamp-1")
        await world.ask("forget_keys", "lamp-1")
        await world.client.publish("sync/lamp-1/report", {"clear": 1, "$": {"id": "c"}})
        assert (await world.client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
        await world.bridge._publisher.wait_until_idle()
        one, two = [(await retained(mosquitto, STATES))[topic] for topic in LAMPS]
        assert b'"clear":1' in one
        assert opens(two, LAMPS[1], hall)
        await world.ask("revoke_keys", "hall")
        await world.ask("forget_keys", "hall")
        async with asyncio.timeout(WAIT_S):
            while LAMPS[1] in (found := await retained(mosquitto, STATES)):
                await asyncio.sleep(0.02)
        assert b'"clear":1' in found[LAMPS[0]]


async def test_without_a_key_of_the_group_there_is_no_state(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in clear, and not for the device; it is said once, and is so until there is a key."""
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    ungrouped = config_of(mosquitto, tmp_path, Readers())
    async with world_of(ungrouped, mosquitto, keys) as world:
        await world.report(*world.lamps, world.plug)
    async with world_of(config, mosquitto, keys) as world:
        await world.until_opened()
        await world.report(*world.lamps, world.plug)
        assert (await retained(mosquitto, STATES)).keys() == {"sync/plug-1/state"}
        await world.until_opened(await world.give("hall"))
    assert capsys.readouterr().err.count(KEYLESS) == 1
    unwrapped = config.sealing.model_copy(update={"wrapping_key_file": None})
    empty = config.store.model_copy(update={"path": tmp_path / "empty.db"})
    with pytest.raises(ConfigError, match="groups of readers are named"):
        async with Bridge(config.model_copy(update={"sealing": unwrapped, "store": empty})):
            pass


async def test_states_are_published_again_when_their_reader_has_changed_and_not_else(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across starts: a key that was activated meanwhile, another list, and one and the same."""
    # What is published again for devices is not looked at here.
    monkeypatch.setattr(changed_keys, "MARGIN_US", 0)
    config = config_of(mosquitto, tmp_path)
    keys = three_keys(config)
    (old,) = give_keys(config.store, "hall")

    async def until_told(bridge: Bridge, since: int) -> None:
        """Wait until what is due at the start is published, if anything is."""
        sealing = bridge._sealing
        assert sealing is not None
        async with asyncio.timeout(WAIT_S):
            while True:
                facts = await bridge.run_store(lambda store: store.metadata())
                has_looked = int(facts.get(KEYS_TOLD_AT, "0")) > since
                told = ReadersTold.of(sealing.keyring).written()
                is_due = sealing.groups_changed.is_set() or facts.get(READERS_TOLD) != told
                if has_looked and not is_due:
                    break
                await asyncio.sleep(0.01)
        # Each waits for what the store was asked before, and so for what came of it.
        for _ in range(3):
            await bridge.run_store(lambda store: store.metadata())
        await bridge._publisher.wait_until_idle()

    async def start(settings: Config) -> set[str]:
        """Start, and return which states are published."""
        since = now_us()
        async with connected_client(mosquitto, STATES, "test/fence") as reader:
            await reader.publish("test/fence", b"replayed")
            await reader.next_message("test/fence")
            async with running_bridge(settings) as bridge:
                await until_told(bridge, since)
            await reader.publish("test/fence", b"end")
            seen = set(reader.has_arrived())
            await reader.next_message("test/fence")
            return (seen | set(reader.has_arrived())) - {"test/fence"}

    async with world_of(config, mosquitto, keys) as world:
        await world.report(*world.lamps, world.plug)
        await until_told(world.bridge, 0)
    assert await start(config) == set()
    with open_store(config) as store:
        new = give_key(store, "hall")
        assert store.device_keys.activate("hall", new.key_id, now_us())
        assert not store.device_keys.activate("hall", new.key_id, now_us())
    assert await start(config) == set(LAMPS)
    found = await retained(mosquitto, STATES)
    assert all(opens(found[topic], topic, new) for topic in LAMPS)
    assert not any(opens(found[topic], topic, old) for topic in LAMPS)
    assert await start(config) == set()
    # Another list, which is set back before all that follows from it is done.
    one = config_of(mosquitto, tmp_path, Readers.parse([{"devices": "lamp-1", "group": "hall"}]))
    slow = one.publish.model_copy(update={"rebuild_per_s": 1})
    async with world_of(one.model_copy(update={"publish": slow}), mosquitto, keys) as world:
        async with asyncio.timeout(WAIT_S):
            while not opens((await retained(mosquitto, STATES))[LAMPS[1]], LAMPS[1], keys[1]):
                await asyncio.sleep(0.02)
    assert not opens((await retained(mosquitto, STATES))[LAMPS[1]], LAMPS[1], new)
    assert set(LAMPS) <= await start(config)
    found = await retained(mosquitto, STATES)
    assert all(opens(found[topic], topic, new) for topic in LAMPS)
    # A key that is made, and revoked before all that follows from it is done.
    with open_store(config) as store:
        store.device_keys.revoke("hall", None, now_us())
    assert set(LAMPS) <= await start(config)
    assert not set(LAMPS) & (await retained(mosquitto, STATES)).keys()
    slow = config.publish.model_copy(update={"rebuild_per_s": 1})
    async with world_of(config.model_copy(update={"publish": slow}), mosquitto, keys) as world:
        await world.until_opened(await world.give("hall"))
    with open_store(config) as store:
        store.device_keys.revoke("hall", None, now_us())
    assert set(LAMPS) <= await start(config)
    assert not set(LAMPS) & (await retained(mosquitto, STATES)).keys()
