"""Watches a system for a while, waits until it has come to rest, and judges it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from device_sim.broker import Broker
from device_sim.checker.export import StoredTwin, export_store, read_export
from device_sim.checker.ledger import Ledger, read_ledger
from device_sim.checker.verdict import Retained, Verdict, judge
from device_sim.checker.watcher import Watcher, read_retained
from device_sim.endpoint import keep_connected
from device_sim.mqtt import MqttVersion, open_network
from device_sim.wire import Network

LOOK_INTERVAL_S: Final = 0.5
"""How often it is looked whether everything is answered."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What is checked, and against what.

    Attributes:
        broker: Where the twins are retained.
        prefix: Of all topics.
        duration_s: How long to watch.
        converge_s: How long after that everything may take to be answered and published.
        ledgers: Files of what was sent; where there are none, what passes by is taken for it.
        store: The store's file, which the program on this machine can export; or None.
        export: A file that holds an export; or None.
        is_complete: The ledger begins with the first message that the twins ever got.
        is_broker_kept: The broker was not killed, so that what it accepted may not be lost.
        protocol: Version of MQTT.
    """

    broker: Broker = field(default_factory=Broker)
    prefix: str = "sync"
    duration_s: float = 60.0
    converge_s: float = 15.0
    ledgers: tuple[Path, ...] = ()
    store: Path | None = None
    export: Path | None = None
    is_complete: bool = False
    is_broker_kept: bool = False
    protocol: MqttVersion = "auto"


async def check(
    options: CheckOptions, stopping: asyncio.Event, began: Callable[[], None] = lambda: None
) -> Verdict:
    """Watch, wait, and judge.

    Args:
        options: What to check.
        stopping: Ends the watching early.
        began: Called once it is connected, and sees everything from then on.

    Raises:
        ConnectRefused: The broker refuses the connection.
        NotAnswered: The store could not be exported.
        ConfigError: A ledger or an export cannot be read.
    """
    seen = Ledger(options.prefix, is_complete=False)
    watcher = Watcher(options.prefix, seen, reads_updates=not options.ledgers)
    async with await open_network(options.broker, options.protocol) as network:
        # A broker that is not there at all is no matter for patience.
        await (await network.connect(watcher.client())).close()
        watching = asyncio.create_task(keep_connected(network, watcher, Random()))
        try:
            await _until(watching, watcher.connected, None)
            began()
            await _until(watching, stopping, options.duration_s)
            return await _judge_at_rest(options, network, seen, watcher)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _until(
    watching: asyncio.Task[None], stopping: asyncio.Event, duration_s: float | None
) -> None:
    """Watch until something happens, or for a while; what ends the watching is raised."""
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait(
            {watching, stopped}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED
        )
        if watching.done():
            watching.result()
    finally:
        stopped.cancel()


def _ledger(options: CheckOptions, seen: Ledger) -> Ledger:
    if not options.ledgers:
        return seen
    return read_ledger(options.ledgers, options.prefix, is_complete=options.is_complete)


async def _judge_at_rest(
    options: CheckOptions, network: Network, seen: Ledger, watcher: Watcher
) -> Verdict:
    """Judge once nothing is under way, or time is up.

    Of messages that ask for no answer nobody says when they have been processed. So what does not
    hold is looked at again while there is time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + options.converge_s
    while True:
        ledger = await _converged(options, seen, watcher, deadline)
        verdict = await _judge(options, network, ledger, watcher)
        if verdict.ok or loop.time() > deadline:
            return verdict


async def _converged(
    options: CheckOptions, seen: Ledger, watcher: Watcher, deadline: float
) -> Ledger:
    """Return the ledger once everything in it is answered and was seen, or time is up."""
    loop = asyncio.get_running_loop()
    while True:
        ledger = _ledger(options, seen)
        newest = watcher.sightings.newest
        is_behind = any(
            update.answer is not None and update.answer.version > newest.get(update.origin.twin, 0)
            for update in ledger.updates()
            if update.is_acknowledged
        )
        if not (is_behind or ledger.unanswered()) or loop.time() > deadline:
            return ledger
        await asyncio.sleep(LOOK_INTERVAL_S)


async def _judge(
    options: CheckOptions, network: Network, ledger: Ledger, watcher: Watcher
) -> Verdict:
    before = await read_retained(network, options.prefix)
    twins = await _twins(options)
    after = await read_retained(network, options.prefix)
    return judge(
        ledger,
        [watcher.sightings],
        twins=twins,
        retained=after,
        unsettled=_unsettled(before, after, twins or {}),
        broker_kept=options.is_broker_kept,
    )


async def _twins(options: CheckOptions) -> dict[str, StoredTwin] | None:
    if options.store is not None:
        return await export_store(options.store)
    if options.export is not None:
        return read_export(options.export.read_bytes().splitlines())
    return None


def _unsettled(before: Retained, after: Retained, twins: dict[str, StoredTwin]) -> set[str]:
    """Return the twins that have changed while all of it was read."""
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    newer = {
        name
        for name, (state, _) in after.items()
        if state is not None and name in twins and state.get("version") != twins[name].version
    }
    # A twin that is newer in the store, and stays so, was not published: that is a violation.
    ahead = {name for name in newer if _version(after, name) < twins[name].version}
    return changed | (newer - ahead)


def _version(retained: Retained, name: str) -> int:
    state, _ = retained[name]
    version = None if state is None else state.get("version")
    return version if isinstance(version, int) else 0
