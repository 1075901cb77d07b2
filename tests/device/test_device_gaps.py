from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge.config import ResyncConfig
from bridge.device import Device, OutgoingMessage
from bridge.device.connection import Connection
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto


class Loss:
    """Loses the first attempts of one report on its way to the broker."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seq: int, attempts: float) -> None:
        self.lost: list[bytes] = []
        self._happened = threading.Event()
        publish = Connection.publish

        def lossy(connection: Connection, message: OutgoingMessage) -> None:
            metadata = orjson.loads(message.payload).get("$", {})
            if metadata.get("seq") == seq and len(self.lost) < attempts:
                self.lost.append(message.payload)
                self._happened.set()
            else:
                publish(connection, message)

        monkeypatch.setattr(Connection, "publish", lossy)

    async def first(self) -> bytes:
        """Wait for the first loss; returns the payload."""
        assert await asyncio.to_thread(self._happened.wait, PATIENCE_S)
        return self.lost[0]


@pytest.fixture
async def app(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Client]:
    """A client that sees everything, beside a bridge that soon asks for what is missing."""
    config = make_config(mosquitto, tmp_path, resync=ResyncConfig(gap_timeout_s=1))
    async with running_bridge(config), connected_client(mosquitto, "sync/#") as client:
        yield client


async def test_a_report_that_is_missing_comes_when_the_bridge_asks(
    app: Client, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device still has it: the same bytes, long before it would be sent again anyway."""
    loss = Loss(monkeypatch, seq=2, attempts=1)
    with Device("lamp-1", port=mosquitto.port, retry_after_s=PATIENCE_S) as lamp:
        await asyncio.to_thread(lamp.report({"on": True}).wait, PATIENCE_S)
        lost = lamp.report({"level": 2})
        payload = await loss.first()
        lamp.report({"mode": "eco"})
        request = await app.next("sync/lamp-1/resync")
        assert request["missing"] == [[2, 2]]
        sent = await app.next_message("sync/lamp-1/report")
        assert sent.payload == payload
        assert (await asyncio.to_thread(lost.wait, PATIENCE_S)).changed


async def test_a_report_that_was_answered_and_is_missing_is_made_up_for(
    app: Client, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a store that went back: a full report closes the gap, and nobody asks again."""
    loss = Loss(monkeypatch, seq=2, attempts=float("inf"))
    with Device("lamp-1", port=mosquitto.port) as lamp:
        await asyncio.to_thread(lamp.report({"on": True}, full=True).wait, PATIENCE_S)
        lost = lamp.report({"level": 2})
        metadata = orjson.loads(await loss.first())["$"]
        answer = {"$": {"id": metadata["id"], "ok": True, "version": 9}}
        await app.publish("sync/lamp-1/reply/lamp-1", answer)
        await asyncio.to_thread(lost.wait, PATIENCE_S)
        await asyncio.to_thread(lamp.report({"mode": "eco"}).wait, PATIENCE_S)
        await app.next("sync/lamp-1/resync")
        report = await app.next("sync/lamp-1/report")
        assert report.pop("$")["full"] is True
        assert report == {"on": True, "level": 2, "mode": "eco"}
        state = await app.next("sync/lamp-1/state")
        assert state["reported"] == report
