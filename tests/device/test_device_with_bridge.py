from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge.device import Device, JsonObject, Twin
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

STATE = "sync/lamp-1/state"
REPLY = "sync/lamp-1/reply/lamp-1"


@pytest.fixture
async def app(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Client]:
    """An application beside a real bridge, which sees the device's messages too."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/#") as client,
    ):
        yield client


async def _get(lamp: Device) -> Twin:
    return await asyncio.to_thread(lamp.get, PATIENCE_S)


async def _report(lamp: Device, patch: JsonObject, *, full: bool = False) -> int:
    answer = await asyncio.to_thread(lamp.report(patch, full=full).wait, PATIENCE_S)
    return answer.version


async def _answer(app: Client) -> dict[str, object]:
    """Return the next answer to the device that is one to a `get`."""
    while True:
        document = await app.next(REPLY)
        if "changed" not in document["$"]:
            assert isinstance(document, dict)
            return document


async def test_a_device_catches_up_with_what_has_changed(app: Client, mosquitto: Mosquitto) -> None:
    """The bridge sends only that, and the device has the whole twin."""
    everything: JsonObject = {f"f{number}": "x" * 100 for number in range(50)}
    with Device("lamp-1", port=mosquitto.port) as lamp:
        await _report(lamp, everything, full=True)
        first = await _get(lamp)
        assert first.reported == everything
        whole = await _answer(app)
        for number in range(5):
            await app.publish("sync/lamp-1/desire/app", {"level": number, "o": {"p": number}})
        await app.publish("sync/lamp-1/desire/app", {"o": None})
        version = await _report(lamp, {"f1": None, "f2": "y"})
        state = await app.until_version(STATE, version)
        caught_up = await _get(lamp)
        assert caught_up == Twin(
            version,
            state["reported"],
            state["desired"],
            online=state["online"],
            at=state["at"],
            last_seen=caught_up.last_seen,
        )
        assert caught_up.desired == {"level": 4}
        changes = await _answer(app)
        assert changes["$"]["since"] == first.version  # type: ignore[index]
        assert changes["reported"] == {"f1": None, "f2": "y"}
        assert len(orjson.dumps(changes)) * 10 < len(orjson.dumps(whole))
        again = await _get(lamp)
        assert (again.reported, again.desired) == (caught_up.reported, caught_up.desired)
        assert "reported" not in await _answer(app)


async def test_a_twin_that_was_deleted_meanwhile_comes_whole(
    app: Client, mosquitto: Mosquitto
) -> None:
    """The bridge cannot tell what has changed, and says so."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        await _report(lamp, {"on": True, "level": 3})
        await _get(lamp)
        await app.publish("sync/lamp-1/delete/app")
        version = await _report(lamp, {"on": False})
        twin = await _get(lamp)
        assert (twin.version, twin.reported, twin.desired) == (version, {"on": False}, {})


async def test_a_device_tells_which_delta_it_obeys(app: Client, mosquitto: Mosquitto) -> None:
    """The bridge takes it, and the delta vanishes."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        await _report(lamp, {"on": False})
        lamp.on_delta(lamp.report)
        await app.publish("sync/lamp-1/desire/app", {"on": True})
        delta = await app.next("sync/lamp-1/delta")
        report = await app.next("sync/lamp-1/report")
        assert report["on"] is True
        assert report["$"]["seen"] == delta["version"]
        assert await app.next("sync/lamp-1/delta") is None


async def test_a_twin_that_lost_a_report_is_mended(app: Client, mosquitto: Mosquitto) -> None:
    """What is in the twin and not on the device goes, and what is missing comes."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        await _report(lamp, {"on": True, "level": 3}, full=True)
        await _report(lamp, {"mode": "eco"})
        # As after a restore of an older backup: something older is back, something newer is lost.
        await app.publish("sync/lamp-1/report", {"old": 1, "mode": None})
        request = {"$": {"id": "r1"}, "reason": "store_restored"}
        await app.publish("sync/lamp-1/resync", request)
        while "old" not in (await app.next(STATE))["reported"]:
            pass
        state = await app.next(STATE)
        assert state["reported"] == {"on": True, "level": 3, "mode": "eco"}
