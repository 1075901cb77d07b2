"""What the broker delivers again, on a real Mosquitto, ends the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bridge import metrics
from bridge.config import BrokerConfig
from bridge.service import Bridge
from tests.support.bridge import connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto


async def until(bridge: Bridge, counter: str, at_least: int) -> None:
    """Wait until a counter has reached a number."""
    async with asyncio.timeout(20):
        while bridge.counters.value(counter) < at_least:
            await asyncio.sleep(0.01)


async def test_a_batch_committed_and_not_acknowledged_changes_nothing_the_second_time(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbered and plain messages and a deletion, in one session that was cut off before PUBACK."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/+/state") as client,
    ):
        monkeypatch.setattr(bridge._link, "acknowledge", lambda _messages: None)
        await client.publish("sync/a/desire/app1", {"v": 1})
        await client.publish("sync/a/desire/app2", {"v": 2, "$": {"boot": "b", "seq": 1}})
        await client.publish("sync/z/report", {"v": 1, "$": {"boot": "b", "seq": 1}})
        await client.publish("sync/z/delete/app", b"")
        await client.publish("sync/z/report", {"v": 2, "$": {"boot": "b", "seq": 2}})
        await until(bridge, metrics.UPDATES_CHANGED, 5)
        before = await retained(mosquitto, "sync/+/state")
        monkeypatch.undo()
        bridge._link.drop("before any PUBACK")
        await until(bridge, metrics.UPDATES_DUPLICATE, 5)
        assert await retained(mosquitto, "sync/+/state") == before
        assert b'{"v":2}' in before["sync/a/state"]
        assert b'{"v":2}' in before["sync/z/state"]


async def test_a_retained_deletion_deletes_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Not again at every new subscription."""
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, "sync/a/state") as client:
        async with running_bridge(config):
            await client.publish("sync/a/report", {"x": 1})
            await client.publish("sync/a/delete/app", b"", retain=False)
            await client.publish("sync/a/report", {"x": 2})
            await client.publish("sync/a/delete/app", b"{}", retain=True)
            await client.publish("sync/a/report", {"x": 3})
            await client.until_version("sync/a/state", 5)
        broker = BrokerConfig(url=config.broker.url, client_id="another")
        async with running_bridge(config.model_copy(update={"broker": broker})) as bridge:
            await until(bridge, metrics.UPDATES_DUPLICATE, 1)
        states = await retained(mosquitto, "sync/a/state")
    assert b'{"x":3}' in states["sync/a/state"]
