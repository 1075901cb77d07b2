"""A publish that the broker refuses is not forgotten."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bridge import metrics
from bridge.service import announcer
from tests.support.bridge import connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

ALL_BUT_ONE_STATE = "topic readwrite #\ntopic deny sync/lamp-2/state\n"
ALL = "topic readwrite #\n"


async def test_it_is_published_as_soon_as_the_rights_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart; until then it counts as unpublished, and the others are not held up."""
    monkeypatch.setattr(announcer, "HEARTBEAT_S", 0.1)
    rights = tmp_path / "acl"
    rights.write_text(ALL_BUT_ONE_STATE)
    with Mosquitto(tmp_path / "broker", extra=f"acl_file {rights}") as broker:
        async with (
            running_bridge(make_config(broker, tmp_path)) as bridge,
            connected_client(broker, "sync/+/state") as client,
        ):
            await client.publish("sync/lamp-2/report", {"on": True})
            await client.publish("sync/lamp-1/report", {"on": True})
            await client.until_version("sync/lamp-1/state", 1)
            async with asyncio.timeout(20):
                while bridge.counters.value(metrics.PUBLISH_REFUSED) < 2:
                    await asyncio.sleep(0.01)
            unpublished = await bridge.run_store(lambda store: store.unpublished(None, 10))
            assert [row.key.device for row in unpublished if row.key.device == "lamp-2"]
            rights.write_text(ALL)
            os.kill(broker.pid, signal.SIGHUP)
            state = await client.until_version("sync/lamp-2/state", 1)
            assert state["reported"] == {"on": True}
        assert "sync/lamp-2/state" in await retained(broker, "sync/#")
