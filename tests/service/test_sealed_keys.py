"""Keys that change while a bridge runs: given, rotated, revoked, and their effect at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bridge.api import AdminClient
from bridge.config import Config
from bridge.core.refusal import Refusal
from bridge.errors import AdminRefused, ConfigError, KeyWrappingError
from bridge.security.frame import Algorithm
from bridge.security.sealing import DeviceKey, Opener
from bridge.service import Bridge
from bridge.service.clock import now_us
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import Client, connected_client, retained, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sealed import SealedClient, give_keys, sealing_config

REPORT = "sync/lamp-1/report"
REPLY = "sync/lamp-1/reply/lamp-1"
STATE = "sync/lamp-1/state"


class World(NamedTuple):
    """A bridge, a client of its broker, and its administration."""

    bridge: Bridge
    client: Client
    broker: Mosquitto

    async def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Ask the administration something, as a command does in its own process."""

        def ask() -> Any:
            with AdminClient(self.bridge.config.store.path) as client:
                return getattr(client, method)(*arguments, **options)

        return await asyncio.to_thread(ask)

    async def give(self, *, rotate: bool = False) -> SealedClient:
        """Give the lamp its next key."""
        made = await self.ask("create_key", "lamp-1", None, rotate=rotate)
        secret = bytes.fromhex(made["key"])
        key = DeviceKey("lamp-1", made["key_id"], Algorithm.AES_256_GCM, secret)
        return SealedClient(self.client, key)

    async def states(self) -> list[str]:
        """What state each key of the lamp is in, the newest first."""
        return [row["state"] for row in (await self.ask("keys", "lamp-1"))["keys"]]

    async def until_state_opens(self, lamp: SealedClient) -> None:
        """Wait until what is retained is sealed with this key."""
        opener = Opener()
        async with connected_client(self.broker, STATE) as reader:
            while True:
                payload = (await reader.next_message(STATE)).payload
                assert isinstance(payload, bytes)
                if not isinstance(opener.open(payload, [lamp.key], "down", STATE), Refusal):
                    return


@asynccontextmanager
async def keyed_world(config: Config, broker: Mosquitto) -> AsyncIterator[World]:
    """Start the bridge."""
    async with (
        running_bridge(config) as bridge,
        connected_client(broker, "sync/+/reply/+") as client,
    ):
        yield World(bridge, client, broker)


async def report(lamp: SealedClient, request_id: str) -> Any:
    """Report something, and return the answer."""
    await lamp.publish(REPORT, {"on": request_id, "$": {"id": request_id}})
    return await lamp.answer(REPLY)


async def test_a_device_is_sealed_from_its_first_key_on(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What was retained of it in clear is replaced at once."""
    async with keyed_world(sealing_config(mosquitto, tmp_path), mosquitto) as world:
        await world.client.publish(REPORT, {"on": True, "$": {"id": "clear"}})
        assert (await world.client.next(REPLY))["$"]["ok"]
        lamp = await world.give()
        await world.until_state_opens(lamp)
        assert (await report(lamp, "a"))["ok"]
        await world.client.publish(REPORT, {"on": True, "$": {"id": "clear"}})
        assert (await lamp.answer(REPLY))["error"] == "not_sealed"


async def test_both_keys_open_while_one_takes_the_place_of_the_other(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What goes down is sealed with the old one until the device has used the new one."""
    async with keyed_world(sealing_config(mosquitto, tmp_path), mosquitto) as world:
        old = await world.give()
        assert (await report(old, "a"))["ok"]
        new = await world.give(rotate=True)
        assert await world.states() == ["next", "active"]
        assert (await report(old, "b"))["ok"]
        await new.publish(REPORT, {"on": 1, "$": {"id": "c"}})
        payload = (await world.client.next_message(REPLY)).payload
        assert isinstance(payload, bytes)
        await world.until_state_opens(new)
        assert await world.states() == ["active", "retiring"]
        await old.publish(REPORT, {"on": 2, "$": {"id": "d"}})
        assert (await new.answer(REPLY))["id"] == "d"


async def test_any_message_proves_a_key(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Also one that changes nothing."""
    async with keyed_world(sealing_config(mosquitto, tmp_path), mosquitto) as world:
        old = await world.give()
        assert (await report(old, "a"))["ok"]
        new = await world.give(rotate=True)
        await new.publish("sync/lamp-1/get/lamp-1")
        await world.until_state_opens(new)
        assert await world.states() == ["active", "retiring"]


async def test_a_key_before_ends_with_the_overlap(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Here at once: an overlap of no days."""
    config = sealing_config(mosquitto, tmp_path, overlap_days=0)
    async with keyed_world(config, mosquitto) as world:
        old = await world.give()
        new = await world.give(rotate=True)
        await new.publish(REPORT, {"on": 1, "$": {"id": "a"}})
        await world.client.next_message(REPLY)
        await world.until_state_opens(new)
        await old.publish(REPORT, {"on": 2, "$": {"id": "b"}})
        assert (await report(new, "c"))["version"] == 2
        (refused,) = await world.bridge.run_store(lambda store: store.quarantine(10))
        assert (refused.code, refused.error) == (401, "seal_not_valid")


async def test_a_revoked_key_opens_nothing_from_now_on(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What was retained for it is cleared; the device may not fall back to clear messages."""
    async with keyed_world(sealing_config(mosquitto, tmp_path), mosquitto) as world:
        lamp = await world.give()
        assert (await report(lamp, "a"))["ok"]
        await world.until_state_opens(lamp)
        await world.ask("revoke_keys", "lamp-1")
        await lamp.publish(REPORT, {"on": "stolen", "$": {"id": "b"}})
        await world.client.publish(REPORT, {"on": "clear"})
        await world.client.publish("sync/other/report", {"on": 1, "$": {"id": "fence"}})
        await world.client.next("sync/other/reply/other")
        kept = await world.bridge.run_store(lambda store: store.quarantine(10))
        assert [row.error for row in kept] == ["not_sealed", "seal_not_valid"]
        assert STATE not in await retained(mosquitto, STATE)
        again = await world.give(rotate=True)
        assert await world.states() == ["active", "revoked"]
        assert (await report(again, "d"))["version"] == 2
        with pytest.raises(AdminRefused):
            await world.ask("revoke_keys", "lamp-1", 1)


async def test_keys_need_a_wrapping_key(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Without it none is made; with another, or none, the bridge does not start on a store."""
    config = sealing_config(mosquitto, tmp_path)
    clear = config.model_copy(update={"sealing": Config().sealing})
    async with keyed_world(clear, mosquitto) as world:
        with pytest.raises(AdminRefused, match="wrapped with"):
            await world.give()
    give_keys(config.store, "lamp-1")
    with pytest.raises(ConfigError, match="keys of devices"):
        async with Bridge(clear):
            pass
    file = config.sealing.wrapping_key_file
    assert file is not None
    file.write_text("00" * 32)
    with pytest.raises(KeyWrappingError):
        async with Bridge(config):
            pass


async def test_a_key_made_while_no_bridge_runs_seals_what_is_retained(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """And one that is revoked meanwhile clears it."""
    config = sealing_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, STATE) as client:
        async with running_bridge(config):
            await client.publish(REPORT, {"on": True})
            await client.until_version(STATE, 1)
        (key,) = give_keys(config.store, "lamp-1")
        async with running_bridge(config):
            sealed = (await client.next_message(STATE)).payload
            assert isinstance(sealed, bytes)
            opened = Opener().open(sealed, [key], "down", STATE)
            assert not isinstance(opened, Refusal), opened
        with contextlib.closing(
            SqliteStore.open(config.store.path, limits=config.store.to_limits())
        ) as store:
            store.device_keys.revoke("lamp-1", None, now_us())
        async with running_bridge(config):
            assert (await client.next_message(STATE)).payload == b""


async def test_a_forgotten_device_sends_and_is_sent_in_clear_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """At once, and a bridge without any key is enough afterwards."""
    config = sealing_config(mosquitto, tmp_path)
    async with keyed_world(config, mosquitto) as world, connected_client(mosquitto, STATE) as eve:
        lamp = await world.give()
        assert (await report(lamp, "a"))["ok"]
        with pytest.raises(AdminRefused, match="valid"):
            await world.ask("forget_keys", "lamp-1")
        await world.ask("revoke_keys", "lamp-1")
        while (await eve.next_message(STATE)).payload:
            pass
        await world.ask("forget_keys", "lamp-1")
        assert (await eve.next(STATE))["reported"] == {"on": "a"}
        await world.client.publish(REPORT, {"on": "clear", "$": {"id": "b"}})
        assert (await world.client.next(REPLY))["$"]["ok"]
        again = await world.give()
        assert again.key.key_id == 2
        await world.client.publish(REPORT, lamp.sent)
        assert (await report(again, "c"))["version"] == 3


async def test_what_is_forgotten_while_no_bridge_runs_is_published_in_clear(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also where the wrapping key was taken out of the settings meanwhile."""
    config = sealing_config(mosquitto, tmp_path)
    (key,) = give_keys(config.store, "lamp-1")
    async with connected_client(mosquitto, STATE, REPLY) as client:
        async with running_bridge(config):
            assert (await report(SealedClient(client, key), "a"))["ok"]
        with contextlib.closing(
            SqliteStore.open(config.store.path, limits=config.store.to_limits())
        ) as store:
            store.device_keys.revoke("lamp-1", None, now_us())
            assert store.device_keys.forget("lamp-1", now_us()) == 1
        async with running_bridge(config.model_copy(update={"sealing": Config().sealing})):
            while (message := await client.next_message(STATE)).payload[:1] != b"{":  # type: ignore[index]
                pass
            assert b'"on":"a"' in message.payload  # type: ignore[operator]
