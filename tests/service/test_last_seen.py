"""When a device was last heard, on whichever of its twins."""

from __future__ import annotations

from pathlib import Path

from bridge.core.topics import TwinKey
from bridge.service.attention import LAST_SEEN_GRAIN_US, last_seen_is_due
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto


async def last_seen(client: Client, twin: str) -> int:
    """Ask for a twin, and return when its device was last heard."""
    await client.publish(f"sync/{twin}/get/app", b"")
    found: int = (await client.next(f"sync/{twin}/reply/app"))["last_seen"]
    return found


async def test_a_report_to_any_twin_of_a_device_counts_for_all_of_them(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What an application wants does not."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/#") as client,
    ):
        seen = []
        for twin in ("lamp-1", "lamp-1/config", "lamp-1/other", "lamp-1"):
            await client.publish(f"sync/{twin}/report", {"n": len(seen)})
            await client.next(f"sync/{twin}/state")
            seen.append(await last_seen(client, "lamp-1"))
            await client.publish("sync/lamp-1/desire/app", {"n": len(seen)})
            assert await last_seen(client, twin) == seen[-1]
        assert seen == sorted({*seen})
        assert await last_seen(client, "lamp-1/config") == seen[-1]


async def test_it_survives_a_restart(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Also of a device that has named twins only: its unnamed one remembers, and is none."""
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, "sync/#") as client:
        async with running_bridge(config):
            for twin in ("lamp-1/config", "lamp-1/other"):
                await client.publish(f"sync/{twin}/report", {"n": 1})
                await client.next(f"sync/{twin}/state")
            before = await last_seen(client, "lamp-1/config")
        async with running_bridge(config) as bridge:
            after = await last_seen(client, "lamp-1/config")
            assert before - LAST_SEEN_GRAIN_US < after <= before
            await client.publish("sync/lamp-1/get/app", b"")
            refused = (await client.next("sync/lamp-1/reply/app"))["$"]
            assert (refused["code"], refused["version"]) == (404, 0)
            assert await bridge.run_store(lambda store: store.count_twins()) == 2


async def test_a_report_to_a_named_twin_seldom_writes_the_unnamed_one(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Two rows for each report would cost too much."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/config/reply/+") as client,
    ):
        for number in range(10):
            await client.publish("sync/lamp-1/config/report", {"n": number, "$": {"id": "r"}})
            await client.next("sync/lamp-1/config/reply/lamp-1")
        stored = await bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
        assert 1 <= stored[TwinKey("lamp-1")].revision <= 2


def test_it_is_stored_when_another_minute_has_begun() -> None:
    """However the reports lie."""
    minute = LAST_SEEN_GRAIN_US
    assert not last_seen_is_due(5 * minute, 6 * minute - 1)
    assert last_seen_is_due(6 * minute - 1, 6 * minute)
