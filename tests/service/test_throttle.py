"""A writer that sends too fast, beside one that does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bridge import metrics
from bridge.config import LimitsConfig
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

FLOOD = 100
LIMIT = 5


async def test_a_flood_is_refused_and_others_are_served(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Twenty times the limit; each refusal is counted, and few are answered or kept."""
    limits = LimitsConfig(writer_messages_per_s=0.01, writer_burst_messages=LIMIT)
    config = make_config(mosquitto, tmp_path, limits=limits)
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/calm/reply/calm", "sync/wild/reply/wild") as client,
    ):
        for number in range(FLOOD):
            await client.publish("sync/wild/report", {"n": number})
        await client.publish("sync/wild/desire/wild", {"n": 1, "$": {"id": "other-topic"}})
        for number in range(LIMIT):
            await client.publish("sync/calm/report", {"n": number, "$": {"id": f"r{number}"}})
        assert (await client.next("sync/wild/reply/wild"))["$"]["id"] == "other-topic"
        for number in range(LIMIT):
            answer = (await client.next("sync/calm/reply/calm"))["$"]
            assert (answer["id"], answer["version"]) == (f"r{number}", number + 1)
        async with asyncio.timeout(20):
            while bridge.counters.value(metrics.UPDATES_REFUSED, "too_fast") < FLOOD - LIMIT:
                await asyncio.sleep(0.01)
        assert bridge.counters.value(metrics.UPDATES_REFUSED, "too_fast") == FLOOD - LIMIT
        assert 1 <= bridge.counters.value(metrics.QUARANTINED) < FLOOD - LIMIT
        await client.publish("sync/calm/report", {"n": 9, "$": {"id": "late"}})
        refused = (await client.next("sync/calm/reply/calm"))["$"]
        assert (refused["id"], refused["error"]) == ("late", "too_fast")
        # One token takes 100 s.
        assert 0 < refused["retry_after_s"] <= 100
        assert refused["messages_per_s"] == 0.01
