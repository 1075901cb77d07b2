"""Fleet changes where something cannot be done: the broker is away, the store is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge import metrics
from bridge.api.fleet_changes import FleetOrder
from bridge.api.problems import RequestRefused
from bridge.config import LimitsConfig
from bridge.core.fleet_plan import FleetPlan
from bridge.core.limits import Limits
from bridge.core.policy import Policies
from bridge.core.topics import TwinKey
from bridge.service import Bridge
from bridge.service import fleet_changes as service
from bridge.service.connected_time import ConnectedTime
from bridge.service.fleet_changes import FleetChanges
from bridge.store.fleet_changes import StoredFleetChange, StoredTarget
from tests.api.orders import report, update
from tests.service.test_pipeline import count_to, set_page_limit
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto

PATIENCE_S = 60.0
"""Far longer than anything takes, also on a machine that is busy with something else."""

KEYS = [TwinKey(f"lamp-{number}") for number in range(20)]


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge with lamps that are silent, and whose twins have 4 KiB at most."""
    limits = LimitsConfig(twin_bytes=4096)
    async with running_bridge(make_config(mosquitto, tmp_path, limits=limits)) as running:
        for key in KEYS:
            await running.apply(key, report({"mode": "day"}, key=key))
        yield running


def fleet_of(bridge: Bridge) -> FleetChanges:
    """What makes fleet changes go in a bridge."""
    return bridge._fleet


async def start(bridge: Bridge, patch: dict[str, Any], **plan: Any) -> str:
    """Begin a change of all lamps; returns its id."""
    order = FleetOrder("anna", False, "version > 0", patch, FleetPlan()._replace(**plan), False)
    return (await fleet_of(bridge).start(order)).id


async def until(bridge: Bridge, change: str, *statuses: str) -> StoredFleetChange:
    """Wait until a change has one of these statuses."""
    revision = 0
    async with asyncio.timeout(PATIENCE_S):
        while True:
            row = await fleet_of(bridge).wait(change, revision, PATIENCE_S)
            assert row is not None
            if row.status in statuses:
                return row
            revision = row.revision


async def targets(bridge: Bridge, change: str) -> list[StoredTarget]:
    """The devices of a change."""
    return await bridge.run_store(lambda store: store.fleet_changes.targets(change, -1, 100))


async def test_a_change_waits_for_a_store_that_is_full_and_goes_on(bridge: Bridge) -> None:
    """Nobody is skipped, and nobody is written twice."""
    async with bridge._pipeline._at_work:  # so that nobody is written before
        change = await start(bridge, {"note": "x" * 2000}, converge_within_s=3600.0)
        await set_page_limit(bridge, 1)
    await count_to(bridge, metrics.COMMIT_FAILURES, 1)
    await set_page_limit(bridge, 1_000_000)
    await until(bridge, change, "waiting")
    assert {row.state for row in await targets(bridge, change)} == {"in_flight"}
    for key in KEYS:
        history = await bridge.run_store(lambda store, key=key: store.history(key, None, 10))
        assert [row.writer for row in history] == ["anna", key.device]


async def test_nobodys_time_goes_on_while_the_broker_is_away(
    bridge: Bridge, mosquitto: Mosquitto
) -> None:
    """Nor is anybody written."""
    fleet, now = fleet_of(bridge), asyncio.get_running_loop().time
    change = await start(
        bridge, {"mode": "night"}, stages=(50.0, 100.0), halt_at_percent=100.0,
        converge_within_s=5.0,
    )  # fmt: skip
    await until(bridge, change, "waiting")
    mosquitto.stop()
    async with asyncio.timeout(PATIENCE_S):
        # Its own writes are still looked at; then nothing is due, whatever the time.
        while bridge.session is not None or fleet.next_at(now()) is not None:
            await asyncio.sleep(0.01)
    states = [row.state for row in await targets(bridge, change)]
    assert states.count("pending") == 10
    await fleet.act(now())
    assert [row.state for row in await targets(bridge, change)] == states
    mosquitto.start()
    row = await until(bridge, change, "halted")
    assert row.why == "10 of 10 devices of stage 1 failed: it halts at 100 %"


async def test_a_device_whose_twin_cannot_take_the_patch_has_failed(bridge: Bridge) -> None:
    """The bridge's refusal is the reason, and what was desired before stays."""
    key = KEYS[3]
    await bridge.apply(key, report({"log": "y" * 3000}, key=key))
    change = await start(bridge, {"note": "x" * 2000}, halt_at_percent=5.0)
    await until(bridge, change, "halted")
    refused = [row for row in await targets(bridge, change) if row.state == "refused"]
    assert [row.key for row in refused] == [key]
    assert refused[0].why.startswith("413 twin_too_large: ")
    twin = await bridge.run_store(lambda store: store.load([key])[key])
    assert b'"desired":{}' in twin.state


async def test_only_so_many_changes_are_at_work(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is refused; one that has ended makes room."""
    monkeypatch.setattr(service, "CHANGES_AT_WORK", 2)
    first = await start(bridge, {"a": 1}, converge_within_s=3600.0)
    await start(bridge, {"b": 1}, converge_within_s=3600.0)
    with pytest.raises(RequestRefused, match="2 fleet changes are at work"):
        await start(bridge, {"c": 1})
    await fleet_of(bridge).undo(first)
    await until(bridge, first, "undone")
    third = await start(bridge, {"c": 1}, converge_within_s=0.1, halt_at_percent=100.0)
    await until(bridge, third, "halted")
    await start(bridge, {"d": 1}, converge_within_s=3600.0)
    with pytest.raises(RequestRefused, match="2 fleet changes are at work"):
        await fleet_of(bridge).resume(third)


async def test_who_waits_for_a_change_is_let_go_when_the_bridge_ends(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """With the change as it was."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        await bridge.apply(KEYS[0], report({"mode": "day"}, key=KEYS[0]))
        change = await start(bridge, {"mode": "night"}, converge_within_s=3600.0)
        row = await until(bridge, change, "waiting")
        waiting = asyncio.create_task(fleet_of(bridge).wait(change, row.revision, 3600.0))
        await asyncio.sleep(0)
        assert not waiting.done()
    async with asyncio.timeout(PATIENCE_S):
        assert await waiting == row


async def test_what_a_policy_keeps_is_not_counted_as_failed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The largest value stays, whoever wrote it."""
    policies = Policies.parse({"*": {"desired.level": "max"}}, Limits())
    async with running_bridge(make_config(mosquitto, tmp_path, policies=policies)) as bridge:
        for key, level in ((KEYS[0], 9), (KEYS[1], 1)):
            await bridge.apply(key, report({"level": 5}, key=key))
            await bridge.apply(key, update({"level": level}, key=key))
        change = await start(bridge, {"level": 5})
        await until(bridge, change, "done")
        states = {row.key: row.state for row in await targets(bridge, change)}
        assert states == {KEYS[0]: "overwritten", KEYS[1]: "converged"}


async def test_a_clock_that_stands_still_without_a_connection() -> None:
    """Told twice, it goes on as before."""
    time = 100.0
    clock = ConnectedTime(lambda: time)
    assert clock.now() == 0.0
    clock.start()
    time = 103.0
    clock.start()
    assert clock.now() == 3.0
    clock.stop()
    time = 200.0
    clock.stop()
    assert clock.now() == 3.0
    clock.start()
    time = 201.5
    assert clock.now() == 4.5
