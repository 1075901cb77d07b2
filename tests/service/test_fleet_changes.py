"""Fleet changes where something cannot be done: the broker is away, the store is full."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge import metrics
from bridge.api.acting import Actor
from bridge.api.fleet_changes import FleetOrder
from bridge.api.problems import RequestRefused
from bridge.config import LimitsConfig
from bridge.core.fleet_plan import FleetPlan
from bridge.core.limits import Limits
from bridge.core.policy import Policies
from bridge.core.topics import TwinKey
from bridge.service import Bridge, apply_offline
from bridge.service import fleet_changes as service
from bridge.service.clock import now_us
from bridge.service.connected_time import ConnectedTime
from bridge.service.fleet_changes import FleetChanges
from bridge.service.fleet_record import FleetRecord
from bridge.store.base import Store
from bridge.store.fleet_changes import StoredFleetChange, StoredTarget, TargetNote
from bridge.store.sqlite import SqliteStore
from tests.api.orders import report, update
from tests.service.test_pipeline import count_to, set_page_limit
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto

ANNA = Actor("socket", "anna")

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
    return (await fleet_of(bridge).start(order, ANNA)).id


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
    await fleet_of(bridge).undo(first, ANNA)
    await until(bridge, first, "undone")
    third = await start(bridge, {"c": 1}, converge_within_s=0.1, halt_at_percent=100.0)
    await until(bridge, third, "halted")
    await start(bridge, {"d": 1}, converge_within_s=3600.0)
    with pytest.raises(RequestRefused, match="2 fleet changes are at work"):
        await fleet_of(bridge).resume(third, ANNA)


async def test_the_audit_trail_tells_who_commanded_what(bridge: Bridge) -> None:
    """What was refused did not happen, and is not there."""
    change = await start(bridge, {"a": 1}, converge_within_s=3600.0)
    await fleet_of(bridge).pause(change, ANNA)
    await fleet_of(bridge).resume(change, Actor("http", "bert"))
    with pytest.raises(RequestRefused, match="it cannot be resumed"):
        await fleet_of(bridge).resume(change, ANNA)
    await fleet_of(bridge).undo(change, ANNA)
    acts = await bridge.run_store(lambda store: store.audit(10))
    told = [(row.act, row.who, row.target) for row in acts if row.act.startswith("fleet.")]
    assert told == [
        ("fleet.undo", "anna", change),
        ("fleet.resume", "bert", change),
        ("fleet.pause", "anna", change),
        ("fleet.start", "anna", change),
    ]


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


def spoil(store: Store, column: str, key: TwinKey) -> None:
    """Damage one twin in a way that SQLite does not notice."""
    assert isinstance(store, SqliteStore)
    statement = f"UPDATE twin SET {column} = x'7b' WHERE device = ?"  # noqa: S608
    store._connection.execute(statement, (key.device,))


async def test_a_damaged_twin_stops_neither_the_change_nor_the_start(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It counts as failed, whether it was written already or not; the reason is told."""
    config = make_config(mosquitto, tmp_path)
    async with running_bridge(config) as bridge:
        for key in KEYS:
            await bridge.apply(key, report({"mode": "day"}, key=key))
        change = await start(
            bridge, {"mode": "night"}, stages=(50.0, 100.0), converge_within_s=3600.0,
            halt_at_percent=100.0,
        )  # fmt: skip
        await until(bridge, change, "waiting")
        order = await targets(bridge, change)
        written, waiting = order[0].key, order[-1].key
    with closing(SqliteStore.open(config.store.path, limits=config.store.to_limits())) as store:
        spoil(store, "state", written)
        spoil(store, "internals", waiting)
    async with running_bridge(config) as bridge:
        for target in order[1:10]:
            await bridge.apply(target.key, report({"mode": "night"}, key=target.key))
        async with asyncio.timeout(PATIENCE_S):
            while (await targets(bridge, change))[-1].state == "pending":
                await asyncio.sleep(0.02)
        first, *_, last = await targets(bridge, change)
        assert (first.state, last.state) == ("timed_out", "refused")
        assert first.why.startswith("the twin cannot be read from the store: ")
        assert last.why.startswith(f"twin {str(last.key)!r} cannot be read from the store: ")
        await fleet_of(bridge).undo(change, ANNA)
        await until(bridge, change, "undone")
        states = [row.state for row in await targets(bridge, change)]
        assert states == ["kept", *["undone"] * 18, "refused"]
        assert not bridge._failure.done()


def keep_pages(monkeypatch: pytest.MonkeyPatch, store_takes_s: float = 0.0) -> list[int]:
    """Note how many devices are judged together, each time that the store is told of some."""
    pages: list[int] = []
    keep = FleetChanges._keep

    async def kept(self: FleetChanges, record: FleetRecord, *arguments: Any) -> None:
        if record.notes:
            pages.append(len(record.notes))
            await asyncio.sleep(store_takes_s)
        await keep(self, record, *arguments)

    monkeypatch.setattr(FleetChanges, "_keep", kept)
    return pages


async def test_many_late_devices_are_judged_page_by_page_when_a_bridge_starts(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none of them runs out of time before it was looked at."""
    config = make_config(mosquitto, tmp_path)
    async with running_bridge(config) as bridge:
        for key in KEYS:
            await bridge.apply(key, report({"mode": "day"}, key=key))
        change = await start(bridge, {"mode": "night"}, converge_within_s=0.1, halt_minimum=21)
        await until(bridge, change, "done")
        await bridge.run_store(lambda store: wait_again(store, change))
    with closing(SqliteStore.open(config.store.path, limits=config.store.to_limits())) as store:
        for key in KEYS:
            apply_offline(store, config, key, report({"mode": "night"}, key=key), now_us)
    pages = keep_pages(monkeypatch, store_takes_s=0.05)
    monkeypatch.setattr(service, "JUDGED_AT_ONCE", 3)
    async with running_bridge(config) as bridge:
        await until(bridge, change, "done")
        assert {row.state for row in await targets(bridge, change)} == {"converged"}
        assert bridge.counters.value(metrics.FLEET_TARGETS, "timed_out") == 0
    assert pages == [3, 3, 3, 3, 3, 3, 2]


def wait_again(store: Store, change: str) -> None:
    """Have a change as it is where the process ends while all of its devices are in flight."""
    assert isinstance(store, SqliteStore)
    row = store.fleet_changes.find(change)
    assert row is not None
    notes = [TargetNote(change, position, "in_flight") for position in range(len(KEYS))]
    store.fleet_changes.update(row._replace(status="waiting"), notes)


async def test_few_of_the_states_that_are_to_be_judged_wait_in_memory(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are read from the store; the answer is the same."""
    pages = keep_pages(monkeypatch)
    change = await start(bridge, {"mode": "night"}, converge_within_s=3600.0)
    await until(bridge, change, "waiting")
    fleet = fleet_of(bridge)
    async with asyncio.timeout(PATIENCE_S):
        while fleet._arrived:  # of its own writes
            await asyncio.sleep(0.01)
    pages.clear()
    monkeypatch.setattr(service, "JUDGED_AT_ONCE", 3)
    monkeypatch.setattr(service, "STATES_KEPT", 4)
    kept: list[int] = []
    bridge._pipeline.transactions.listeners.append(lambda _: kept.append(len(fleet._arrived)))
    await bridge._pipeline.submit_all([(k, report({"mode": "night"}, key=k)) for k in KEYS])
    await until(bridge, change, "done")
    assert kept == [4]
    assert sum(pages) == len(KEYS)
    assert max(pages) <= 2 * 3
