"""Devices without a last will, on a real broker: online by their reports, offline by silence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge import metrics
from bridge.config import Config, PresenceConfig
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.service import Bridge, silence_watch
from tests.service.test_pipeline import count_to, set_page_limit
from tests.support.bridge import Client, connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

STATE = "sync/lamp-1/state"


def config_for(broker: Mosquitto, directory: Path, offline_after_s: float) -> Config:
    """The settings of a bridge that is so patient."""
    return make_config(broker, directory, presence=PresenceConfig(offline_after_s=offline_after_s))


async def until_online_is(client: Client, online: bool, topic: str = STATE) -> int:
    """Wait until a state says so; returns its version."""
    while True:
        state = await client.next(topic)
        if state is not None and state.get("online") is online:
            version: int = state["version"]
            return version


async def test_a_report_makes_a_device_online_and_silence_offline(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Each a version, no more; and neither is a change of the history."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 0.3)) as bridge,
        connected_client(mosquitto, STATE) as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True})
        assert await until_online_is(client, True) == 1
        assert await until_online_is(client, False) == 2
        await client.publish("sync/lamp-1/report", {"on": False})
        assert await until_online_is(client, True) == 3
        assert await until_online_is(client, False) == 4
        history = await bridge.run_store(lambda store: store.history(TwinKey("lamp-1"), None, 9))
        assert [row.version for row in history] == [3, 1]
        assert bridge.counters.value(metrics.SILENT_OFFLINE) == 2


async def test_a_device_that_goes_on_reporting_stays_online(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Also where it reports nothing new, is refused, or reports to a named twin."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 2.0)) as bridge,
        connected_client(mosquitto, "sync/+/state") as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True})
        await client.publish("sync/other/report", {"on": True})
        clock = asyncio.get_running_loop().time
        number, until = 0, clock() + 4.0
        while clock() < until:
            topic, payload = (
                ("sync/lamp-1/report", {"on": True}),
                ("sync/lamp-1/config/report", {"n": 1}),
                ("sync/lamp-1/report", {"text": "x" * 70_000}),
            )[number % 3]
            number += 1
            await client.publish(topic, payload)
            await asyncio.sleep(0.2)
        assert await until_online_is(client, False, "sync/other/state") == 2
        found = await bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
        assert b'"online":true' in found[TwinKey("lamp-1")].state
        assert found[TwinKey("lamp-1")].version == 1


async def test_a_report_to_a_named_twin_makes_its_device_online(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Presence is the device's, and stands in the unnamed twin."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 0.5)),
        connected_client(mosquitto, STATE, "sync/lamp-1/config/state") as client,
    ):
        await client.publish("sync/lamp-1/desire/app", {"on": True})
        await client.next(STATE)
        await client.publish("sync/lamp-1/config/report", {"rate": 5})
        assert "online" not in await client.next("sync/lamp-1/config/state")
        assert await until_online_is(client, True) == 2
        assert await until_online_is(client, False) == 3


async def test_a_device_with_a_will_is_left_to_it(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """However long it is silent; also after a restart of the bridge."""
    config = config_for(mosquitto, tmp_path, 0.3)
    async with connected_client(mosquitto, "sync/+/state") as client:
        await client.publish("sync/lamp-1/presence", b"online", retain=True)
        for _ in range(2):
            async with running_bridge(config) as bridge:
                await client.publish("sync/lamp-1/report", {"on": True})
                await client.publish("sync/lamp-2/report", {"on": True})
                await until_online_is(client, True, "sync/lamp-2/state")
                await until_online_is(client, False, "sync/lamp-2/state")
                await asyncio.sleep(0.5)
                found = await bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
                assert b'"online":true' in found[TwinKey("lamp-1")].state


async def test_who_was_online_before_a_restart_goes_offline_after_it(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were offline already make no version."""
    monkeypatch.setattr(silence_watch, "PAGE_TWINS", 2)
    async with connected_client(mosquitto) as client:
        async with running_bridge(config_for(mosquitto, tmp_path, 3600)) as bridge:
            for number in range(5):
                await client.publish(f"sync/d{number}/report", {"on": True})
            await client.publish("sync/gone/report", {"online": True})
            await client.publish("sync/gone/presence", b"offline")
            await count_to(bridge, metrics.UPDATES_CHANGED, 7)
        async with running_bridge(config_for(mosquitto, tmp_path, 0.2)) as bridge:
            await count_to(bridge, metrics.SILENT_OFFLINE, 5)
            await asyncio.sleep(0.3)
            assert bridge.counters.value(metrics.SILENT_OFFLINE) == 5
            states = await retained(mosquitto, "sync/+/state")
    assert len(states) == 6
    assert all(state.endswith(b'"online":false}') for state in states.values())


async def test_nobody_goes_offline_because_the_broker_is_away(tmp_path: Path) -> None:
    """Devices cannot be heard then; each has its full time when it is back."""
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        async with running_bridge(config_for(broker, tmp_path, 1.0)) as bridge:
            async with connected_client(broker, STATE) as client:
                await client.publish("sync/lamp-1/report", {"on": True})
                await until_online_is(client, True)
            broker.stop()
            await asyncio.sleep(1.5)
            assert bridge.counters.value(metrics.SILENT_OFFLINE) == 0
            broker.start()
            async with connected_client(broker, STATE) as client:
                await until_online_is(client, False)


async def test_a_store_that_is_full_makes_going_offline_wait(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done as soon as there is room."""
    monkeypatch.setattr(silence_watch, "RETRY_S", 0.1)
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 2.0)) as bridge,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        for number in range(50):
            report = {"text": "x" * 4000, "$": {"id": "r"}}
            await client.publish(f"sync/d{number}/report", report)
        for _ in range(50):
            await client.next_message()
        await set_page_limit(bridge, 1)
        await failed(bridge)
        await set_page_limit(bridge, 1_000_000)
        await count_to(bridge, metrics.SILENT_OFFLINE, 50)


async def test_a_device_that_is_heard_while_its_order_waits_stays_online(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It is asked again when the order has its turn."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 0.5)) as bridge,
        connected_client(mosquitto, "sync/+/state") as client,
    ):
        for device in ("lamp-1", "lamp-2"):
            await client.publish(f"sync/{device}/report", {"on": True})
        await until_online_is(client, True, "sync/lamp-2/state")
        silence = bridge._watch._silence
        assert silence is not None
        async with bridge._pipeline._at_work, asyncio.timeout(20):
            while not bridge._pipeline._submitted:
                await asyncio.sleep(0.01)
            later = asyncio.get_running_loop().time() + 3600
            silence.heard("lamp-1", later)
        await count_to(bridge, metrics.SILENT_OFFLINE, 1)
        found = await bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
        assert b'"online":true' in found[TwinKey("lamp-1")].state
        assert silence.is_overdue("lamp-1", later + 1), "it is watched still"


async def test_a_device_that_is_heard_right_after_it_went_offline_is_watched(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report may be carried out before the watch hears of the outcome."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 0.3)) as bridge,
        connected_client(mosquitto, STATE) as client,
    ):
        submit_all = bridge._pipeline.submit_all
        silence = bridge._watch._silence
        assert silence is not None

        async def report_at_once(*arguments: Any, **options: Any) -> list[Outcome]:
            outcomes = await submit_all(*arguments, **options)
            monkeypatch.undo()
            silence.heard("lamp-1", asyncio.get_running_loop().time())
            return outcomes

        monkeypatch.setattr(bridge._pipeline, "submit_all", report_at_once)
        await client.publish("sync/lamp-1/report", {"on": True})
        await until_online_is(client, False)
        await count_to(bridge, metrics.SILENT_OFFLINE, 1)
        assert silence.next_at() is not None


async def test_going_offline_waits_while_too_much_is_due(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A fleet that falls silent does not fill the memory with its states."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, 0.3)) as bridge,
        connected_client(mosquitto, STATE) as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True})
        await until_online_is(client, True)
        await bridge._publisher.wait_until_idle()
        bridge._publisher._room.clear()
        await asyncio.sleep(0.6)
        assert bridge.counters.value(metrics.SILENT_OFFLINE) == 0
        bridge._publisher._room.set()
        await until_online_is(client, False)


async def failed(bridge: Bridge) -> None:
    """Wait until the watch has failed once."""
    watch = bridge._watch
    async with asyncio.timeout(20):
        while watch._log._windows.get("silence") is None:
            await asyncio.sleep(0.01)
