"""How a bridge begins and ends, and what it says when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog

from bridge.config import BrokerConfig, Config, EmbeddedConfig, StoreConfig
from bridge.errors import BrokerError, ConnectRefused, StoreError, StoreLocked
from bridge.service import Bridge
from bridge.store.codec import raise_horizon
from bridge.store.restore import VERSION_STEP, restore
from tests.support.bridge import connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto, free_port


async def test_a_refused_login_ends_the_bridge_with_a_hint(tmp_path: Path) -> None:
    """It makes no sense to try again."""
    with Mosquitto(tmp_path / "broker", extra="allow_anonymous false") as broker:
        async with asyncio.timeout(20), Bridge(make_config(broker, tmp_path)) as bridge:
            with pytest.raises(ConnectRefused) as caught:
                await bridge.wait_until_connected()
            with pytest.raises(ConnectRefused):
                await bridge.wait()
    assert not caught.value.recoverable
    assert caught.value.hint


async def test_a_broker_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    """The bridge may be started first."""
    broker = Mosquitto(tmp_path / "broker")
    async with asyncio.timeout(30), Bridge(make_config(broker, tmp_path)) as bridge:
        connected = asyncio.create_task(bridge.wait_until_connected())
        await asyncio.sleep(0.5)
        assert not connected.done()
        with broker:
            await connected


async def test_a_second_bridge_on_the_same_store_is_refused(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Before it disturbs the first one's connection."""
    config = make_config(mosquitto, tmp_path)
    async with running_bridge(config) as first:
        with pytest.raises(StoreLocked):
            await Bridge(config).__aenter__()
        assert first.session is not None


async def test_a_store_that_cannot_be_made_is_one_clear_error(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It names the directory."""
    (tmp_path / "file").write_text("")
    store = StoreConfig(path=tmp_path / "file" / "store.db")
    with pytest.raises(StoreError, match="file"):
        await Bridge(make_config(mosquitto, tmp_path, store=store)).__aenter__()


async def test_without_a_broker_the_embedded_one_is_started_and_ended(tmp_path: Path) -> None:
    """A bridge on it is complete, and its port is free afterwards."""
    config = Config(
        store=StoreConfig(path=tmp_path / "store.db"), embedded=EmbeddedConfig(port=free_port())
    )
    async with running_bridge(config) as bridge:
        assert (bridge.host, bridge.port) == ("127.0.0.1", config.embedded.port)
    async with running_bridge(config):
        with pytest.raises(BrokerError, match="port"):
            other = config.model_copy(update={"store": StoreConfig(path=tmp_path / "other.db")})
            await Bridge(other).__aenter__()


async def test_a_path_too_long_for_a_socket_costs_only_the_administration(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Devices are served all the same."""
    deep = tmp_path / ("d" * 100) / "store.db"
    config = make_config(mosquitto, tmp_path, store=StoreConfig(path=deep))
    async with running_bridge(config):
        assert not list(deep.parent.glob("*.sock"))


async def test_the_client_id_is_kept_with_the_store(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Because the session at the broker belongs to it; a configured one is stronger."""
    config = make_config(mosquitto, tmp_path)
    async with running_bridge(config) as bridge:
        first = await bridge.run_store(lambda store: store.metadata())
    async with running_bridge(config) as bridge:
        assert bridge.session is not None
        assert bridge.session.session_present
        again = await bridge.run_store(lambda store: store.metadata())
        assert again["client_id"] == first["client_id"]
    broker = BrokerConfig(url=config.broker.url, client_id="chosen")
    async with running_bridge(config.model_copy(update={"broker": broker})) as bridge:
        assert bridge.session is not None
        assert not bridge.session.session_present


async def test_the_prefix_of_all_topics_can_be_chosen(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The status too."""
    async with running_bridge(make_config(mosquitto, tmp_path, prefix="plant/7")):
        assert list(await retained(mosquitto, "#")) == ["plant/7/$bridge/status"]


async def test_no_version_is_used_again_after_a_restore(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Not of a twin that the backup holds, and not of one that was made after it."""
    config = make_config(mosquitto, tmp_path)
    backup = tmp_path / "backup.db"
    async with connected_client(mosquitto, "sync/+/state") as client:
        async with running_bridge(config) as bridge:
            await client.publish("sync/old/report", {"n": 1})
            await client.until_version("sync/old/state", 1)
            await bridge.run_store(lambda store: store.backup(backup))
            for number in range(3):
                await client.publish("sync/old/report", {"n": 10 + number})
                await client.publish("sync/new/report", {"n": 10 + number})
            await client.until_version("sync/new/state", 3)
        restore(backup, config.store.path, raise_internals=raise_horizon)
        async with running_bridge(config):
            state = await client.until_version("sync/old/state", VERSION_STEP)
            assert (state["version"], state["reported"]) == (VERSION_STEP + 1, {"n": 1})
            # An application that had seen version 4 must not decide on it now.
            await client.subscribe("sync/old/reply/app")
            await client.publish("sync/old/desire/app", {"n": 2, "$": {"id": "x", "if": 4}})
            assert (await client.next("sync/old/reply/app"))["$"]["error"] == "version_mismatch"
            await client.publish("sync/new/report", {"n": 20})
            state = await client.until_version("sync/new/state", VERSION_STEP)
            assert state["version"] == VERSION_STEP + 1


async def test_a_second_bridge_with_another_store_is_reported(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """By the one that was there: the two would set each other's retained topics back."""
    first = make_config(mosquitto, tmp_path)
    second = make_config(mosquitto, tmp_path, store=StoreConfig(path=tmp_path / "other.db"))
    async with running_bridge(first):
        with structlog.testing.capture_logs() as logs:
            async with running_bridge(second), asyncio.timeout(20):
                while not any("another bridge" in line["event"] for line in logs):
                    await asyncio.sleep(0.01)
        reported = [line for line in logs if "another bridge" in line["event"]]
        assert len(reported) == 1
