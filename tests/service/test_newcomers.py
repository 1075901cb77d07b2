"""New twins are bounded, in number and per device."""

from __future__ import annotations

from pathlib import Path

from bridge import metrics
from bridge.config import LimitsConfig
from bridge.core.topics import TwinKey
from bridge.service import Bridge
from bridge.service.newcomers import MINUTE_US, Newcomers
from tests.service.test_permissions import Sender
from tests.support.bridge import connected_client, make_config
from tests.support.mosquitto import Mosquitto


def test_a_flood_of_new_devices_is_refused_until_the_next_minute() -> None:
    """429, and only the new ones beyond the limit."""
    newcomers = Newcomers(LimitsConfig(new_devices_per_minute=2))
    keys = [TwinKey(f"d{n}") for n in range(3)]
    refused = newcomers.refuse(keys, {}, MINUTE_US * 10)
    assert list(refused) == [keys[2]]
    assert (refused[keys[2]].code, refused[keys[2]].error) == (429, "too_many_new_devices")
    assert newcomers.refuse(keys, {}, MINUTE_US * 10) == refused, "nothing is committed yet"
    newcomers.made(2)
    assert newcomers.refuse([keys[2]], {}, MINUTE_US * 10 + 1)
    assert not newcomers.refuse([keys[2]], {}, MINUTE_US * 11)


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    """It does not close the door for the time that it was ahead."""
    newcomers = Newcomers(LimitsConfig(new_devices_per_minute=1))
    assert not newcomers.refuse([TwinKey("a")], {}, MINUTE_US * 100)
    newcomers.made(1)
    assert not newcomers.refuse([TwinKey("b")], {}, MINUTE_US * 50)


def test_a_device_has_so_many_names_and_no_more() -> None:
    """The unnamed twin does not count."""
    newcomers = Newcomers(LimitsConfig(named_twins=2))
    keys = [TwinKey("d", name) for name in ("", "one", "two")]
    refused = newcomers.refuse(keys, {"d": ["zero"]}, 0)
    assert {key: refusal.error for key, refusal in refused.items()} == {keys[2]: "too_many_names"}


async def test_a_running_bridge_refuses_a_flood_of_new_devices(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """With 429, and nothing is made of it; devices that are known are served as before."""
    config = make_config(mosquitto, tmp_path, limits=LimitsConfig(new_devices_per_minute=3))
    now = [MINUTE_US * 10]
    async with (
        Bridge(config, clock=lambda: now[0]) as bridge,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        await bridge.wait_until_connected()
        sender = Sender(bridge, client)
        assert (await sender.report("known-1", n=1))["ok"]
        assert (await sender.report("known-2", n=1))["ok"]
        assert (await sender.desire("app", "known-3", n=1))["ok"]
        for number in range(20):
            await client.publish(f"sync/new-{number}/report", {"n": number})
        for refused in (
            await sender.report("new-20", n=1),
            await sender.desire("app", "new-21", n=1),
        ):
            assert (refused["code"], refused["error"]) == (429, "too_many_new_devices")
        assert (await sender.report("known-1", n=2))["version"] == 2
        assert await bridge.run_store(lambda store: store.count_twins()) == 3
        assert bridge.counters.value(metrics.UPDATES_REFUSED, "too_many_new_devices") >= 22
        now[0] += MINUTE_US
        assert (await sender.report("new-20", n=1))["ok"]
