"""A device that a real bridge refuses because it reports too fast."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge import metrics
from bridge.config import LimitsConfig
from bridge.core.topics import TwinKey
from bridge.device import Device, Report
from bridge.service import Bridge
from tests.device.scripted_bridge import PATIENCE_S
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto

REPORTS = 10

LAMP = TwinKey("lamp-1")

EVERYTHING = {
    "step": {"number": REPORTS - 2},
    **{f"f{number}": number for number in range(REPORTS)},
}


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge that takes four reports a second, and two at once."""
    limits = LimitsConfig(writer_messages_per_s=4, writer_burst_messages=2)
    async with running_bridge(make_config(mosquitto, tmp_path, limits=limits)) as running:
        yield running


def report_all(lamp: Device) -> list[Report]:
    """Report more at once than the bridge takes; none can be merged into the one before."""
    return [
        lamp.report({"step": {} if number % 2 else {"number": number}, f"f{number}": number})
        for number in range(REPORTS)
    ]


def refused(bridge: Bridge) -> int:
    """Return how many messages were too fast."""
    return bridge.counters.value(metrics.UPDATES_REFUSED, "too_fast")


async def reported(bridge: Bridge) -> object:
    """Return what the store has of the device."""
    stored = await bridge.run_store(lambda store: store.load([LAMP]))
    return orjson.loads(stored[LAMP].state)["reported"]


async def test_what_was_too_fast_comes_later_and_nothing_is_lost(
    bridge: Bridge, mosquitto: Mosquitto
) -> None:
    """Each is answered in the end, none with the refusal."""
    with Device("lamp-1", port=mosquitto.port) as lamp:
        for report in report_all(lamp):
            await asyncio.to_thread(report.wait, 3 * PATIENCE_S)
    assert refused(bridge) > 0
    assert await reported(bridge) == EVERYTHING


async def test_what_was_too_fast_is_kept_over_a_restart_of_the_device(
    bridge: Bridge, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The next process reads it out of the outbox, and meets the same limit."""
    outbox = tmp_path / "outbox"
    with Device("lamp-1", port=mosquitto.port, outbox=outbox) as lamp:
        report_all(lamp)
        async with asyncio.timeout(PATIENCE_S):
            while not refused(bridge):
                await asyncio.sleep(0.01)
    with Device("lamp-1", port=mosquitto.port, outbox=outbox) as lamp:
        await asyncio.to_thread(lamp.flush, 3 * PATIENCE_S)
    assert await reported(bridge) == EVERYTHING
