"""A bridge under a flood, with witnesses beside it: how each run begins and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks.flood import Flood, open_flood
from benchmarks.overload_check import Ledger
from benchmarks.processes import ChildProcess
from benchmarks.scrape import read_dropped, read_metrics
from benchmarks.witnesses import Witnesses, open_witnesses

CONNECTIONS: Final = 8

LAST_NUMBER: Final = 900_000
"""Number of each device's last update, which comes when everything is calm again."""

LAST_BURSTS: Final = 5
"""How many bursts count of those by which a bridge is filled."""


async def await_bridge(
    process: ChildProcess, port: int, witnesses: int, interval_s: float
) -> Witnesses:
    """Return devices that wait for answers, once the bridge is there."""
    opened = await open_witnesses(port, witnesses, interval_s, Random(1))
    await process.while_running(opened.await_bridge())
    return opened


async def measure_capacity(flood: Flood, witnesses: Witnesses, burst: int) -> float:
    """Return how many updates a second the bridge can bear, by one burst of so many."""
    clock = asyncio.get_running_loop().time
    began = clock()
    await flood.burst(burst)
    await witnesses.fence()
    return burst / (clock() - began)


async def measure_full_capacity(
    flood: Flood, witnesses: Witnesses, burst: int, duration_s: float
) -> float:
    """Return how many updates a second it can bear for long: when its history is full as well.

    A store that is new takes more, as nothing old has to be removed for what comes.

    Args:
        flood: Sends the updates.
        witnesses: Tell when they have been taken.
        burst: Updates at a time: no more than the broker may queue.
        duration_s: How long bursts follow one another; the last ones count.
    """
    clock = asyncio.get_running_loop().time
    rates, end = [], clock() + duration_s
    while not rates or clock() < end:
        rates.append(await measure_capacity(flood, witnesses, burst))
    return median(rates[-LAST_BURSTS:])


async def finish(
    flood: Flood, devices: Sequence[int], witnesses: Witnesses, port: int, path: Path
) -> Ledger:
    """Send every device's last update, and note what was sent in all and what became of it.

    Args:
        flood: What was sent before; it is closed, as the witnesses are.
        devices: Those of the flood.
        witnesses: Waited for until they are answered.
        port: The broker's.
        path: The bridge's store.
    """
    last = await open_flood(port, devices, CONNECTIONS, first_number=LAST_NUMBER, turns=1)
    await last.burst(len(devices))
    await witnesses.fence()
    published = flood.acknowledged + last.acknowledged + witnesses.sent
    ledger = Ledger(published, await read_dropped(port), await read_metrics(path), witnesses)
    for part in (flood, last):
        part.close()
    await witnesses.close()
    return ledger
