"""Answers and events that would be larger than a payload may be: the broker need not take them."""

from __future__ import annotations

from pathlib import Path

from bridge.config import LimitsConfig, PublishConfig
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

LIMITS = LimitsConfig(payload_bytes=2048, twin_bytes=4096)
FIELDS = {f"field_{number:02}": number for number in range(80)}


async def test_what_is_too_large_is_refused_or_left_out(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The asker hears the size and the limit; the event says that it is not all."""
    config = make_config(mosquitto, tmp_path, limits=LIMITS, publish=PublishConfig(events=True))
    filters = ("sync/lamp-1/reply/app", "sync/lamp-1/event")
    async with running_bridge(config), connected_client(mosquitto, *filters) as client:
        await client.publish("sync/lamp-1/report", FIELDS)
        event = await client.next("sync/lamp-1/event")
        assert (event["version"], event["patch"], event["truncated"]) == (1, {}, True)
        await client.publish("sync/lamp-1/get/app", {"$": {"id": "1"}, "meta": True})
        refused = (await client.next("sync/lamp-1/reply/app"))["$"]
        assert (refused["code"], refused["error"]) == (413, "answer_too_large")
        assert "the limit is 2048: ask without meta" in refused["message"]
        await client.publish("sync/lamp-1/get/app", {"$": {"id": "2"}})
        assert (await client.next("sync/lamp-1/reply/app"))["reported"] == FIELDS
        await client.publish("sync/lamp-1/report", {"field_00": -1})
        event = await client.next("sync/lamp-1/event")
        assert event["patch"] == {"field_00": -1}
        assert "truncated" not in event
