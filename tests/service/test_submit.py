"""What a running bridge is asked to do by others than the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import LimitsConfig
from bridge.core.orders import Deletion, ForgetWriter
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, Update
from bridge.errors import StoreUnavailable
from bridge.service import Bridge, pipeline
from tests.service.test_pipeline import set_page_limit
from tests.support.bridge import Client, connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

LAMP = TwinKey("lamp-1")


def desire(patch: JsonObject, **metadata: int) -> Update:
    """What an operator wants."""
    return Update(LAMP, "desired", "operator", patch, Metadata(**metadata), b"")  # type: ignore[arg-type]


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge on a fresh broker whose twins have 2 KiB at most."""
    config = make_config(mosquitto, tmp_path, limits=LimitsConfig(twin_bytes=2048, named_twins=1))
    async with running_bridge(config) as running:
        yield running


@pytest.fixture
async def client(mosquitto: Mosquitto, bridge: Bridge) -> AsyncIterator[Client]:
    """A client that sees lamp-1."""
    filters = ("sync/lamp-1/state", "sync/lamp-1/delta", "sync/lamp-1/reply/+")
    async with connected_client(mosquitto, *filters) as connected:
        yield connected


async def test_an_order_is_committed_and_published_like_a_message(
    bridge: Bridge, client: Client, mosquitto: Mosquitto
) -> None:
    """With version, delta and history; and a message is reconciled with what it left."""
    await client.publish("sync/lamp-1/report", {"on": False})
    await client.until_version("sync/lamp-1/state", 1)
    outcome = await bridge.apply(LAMP, desire({"on": True}))
    assert (outcome.version, outcome.changed, outcome.refusal) == (2, True, None)
    assert (await client.until_version("sync/lamp-1/state", 2))["desired"] == {"on": True}
    assert (await client.next("sync/lamp-1/delta"))["state"] == {"on": True}
    history = await bridge.run_store(lambda store: store.history(LAMP, None, 10))
    assert [(row.version, row.writer) for row in history] == [(2, "operator"), (1, "lamp-1")]
    await client.publish("sync/lamp-1/report", {"on": True, "$": {"id": "r"}})
    assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["version"] == 3
    assert (await bridge.apply(LAMP, Deletion("operator"))).version == 4
    while await client.next("sync/lamp-1/state") is not None:
        pass
    assert await retained(mosquitto, "sync/lamp-1/#") == {}


async def test_what_is_refused_changes_nothing(bridge: Bridge, client: Client) -> None:
    """By version, by size, and by the number of names; the outcome says why."""
    await bridge.apply(LAMP, desire({"on": True}))
    for order, error in (
        (desire({"on": False}, if_version=0), "version_mismatch"),
        (desire({"text": "x" * 3000}), "twin_too_large"),
    ):
        refusal = (await bridge.apply(LAMP, order)).refusal
        assert refusal is not None
        assert refusal.error == error
    assert (await bridge.apply(TwinKey("lamp-1", "one"), desire({"on": 1}))).refusal is None
    refusal = (await bridge.apply(TwinKey("lamp-1", "two"), desire({"on": 1}))).refusal
    assert refusal is not None
    assert refusal.error == "too_many_names"
    assert (await client.until_version("sync/lamp-1/state", 1))["desired"] == {"on": True}
    stored = await bridge.run_store(lambda store: store.load([LAMP, TwinKey("lamp-1", "two")]))
    assert [twin.version for twin in stored.values()] == [1]


async def test_a_writer_is_forgotten_and_stays_so_after_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Its numbers begin anew."""
    config = make_config(mosquitto, tmp_path)
    report = {"$": {"id": "r", "boot": "b", "seq": 1}, "n": 1}
    async with connected_client(mosquitto, "sync/lamp-1/reply/+") as client:
        async with running_bridge(config) as bridge:
            await client.publish("sync/lamp-1/report", report)
            await client.next("sync/lamp-1/reply/lamp-1")
            assert (await bridge.apply(LAMP, ForgetWriter("lamp-1", "reported"))).store
        async with running_bridge(config):
            await client.publish("sync/lamp-1/report", report)
            assert "duplicate" not in (await client.next("sync/lamp-1/reply/lamp-1"))["$"]


async def test_orders_and_messages_take_turns_and_none_is_lost(
    bridge: Bridge, client: Client
) -> None:
    """Every one of them makes its version, whoever comes first."""
    orders = [bridge.apply(LAMP, desire({f"o{n}": n})) for n in range(20)]
    for number in range(20):
        await client.publish("sync/lamp-1/report", {f"m{number}": number})
    outcomes = await asyncio.gather(*orders)
    state = await client.until_version("sync/lamp-1/state", 40)
    assert len({outcome.version for outcome in outcomes}) == 20
    assert len(state["reported"]) == len(state["desired"]) == 20


async def test_an_order_and_a_batch_are_never_at_work_together(
    bridge: Bridge, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds the twins as the other has committed them."""
    transactions = bridge._pipeline._transactions
    run = transactions.run
    at_work, most_at_work = 0, 0

    async def watched(*arguments: Any) -> None:
        nonlocal at_work, most_at_work
        at_work += 1
        most_at_work = max(most_at_work, at_work)
        try:
            await run(*arguments)
        finally:
            at_work -= 1

    monkeypatch.setattr(transactions, "run", watched)
    orders = [asyncio.create_task(bridge.apply(LAMP, desire({f"o{n}": n}))) for n in range(20)]
    for number in range(20):
        await client.publish("sync/lamp-1/report", {f"m{number}": number})
    await asyncio.gather(*orders)
    await client.until_version("sync/lamp-1/state", 40)
    assert most_at_work == 1


async def test_a_store_that_cannot_be_written_is_an_error_and_nothing_took_effect(
    bridge: Bridge, client: Client
) -> None:
    """Neither in memory: the next order finds what was there."""
    await bridge.apply(LAMP, desire({"on": True}))
    await set_page_limit(bridge, 1)
    for number in range(2):
        with pytest.raises(StoreUnavailable):
            for other in range(20):
                await bridge.apply(TwinKey(f"new-{number}-{other}"), desire({"text": "x" * 1500}))
        with pytest.raises(StoreUnavailable):
            for _ in range(20):
                await bridge.apply(LAMP, desire({"text": f"{number}" * 900}))
                await bridge.apply(LAMP, desire({"text": None}))
    await set_page_limit(bridge, 1_000_000)
    found = (await bridge.run_store(lambda store: store.load([LAMP])))[LAMP]
    outcome = await bridge.apply(LAMP, desire({"on": False}))
    assert outcome.version == found.version + 1
    await client.until_version("sync/lamp-1/state", outcome.version)


async def test_an_order_goes_on_when_its_caller_is_gone(bridge: Bridge, client: Client) -> None:
    """It may be committed already, and then has to be published."""
    asked = asyncio.create_task(bridge.apply(LAMP, desire({"on": True})))
    await asyncio.sleep(0)
    asked.cancel()
    assert (await client.until_version("sync/lamp-1/state", 1))["desired"] == {"on": True}


async def test_a_stop_finishes_the_orders_at_work(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """And what they changed is published before the goodbye."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        asked = asyncio.create_task(bridge.apply(LAMP, desire({"on": True})))
        await asyncio.sleep(0)
    assert (await asked).version == 1
    assert (
        b'"desired":{"on":true}' in (await retained(mosquitto, "sync/+/state"))["sync/lamp-1/state"]
    )


async def test_too_many_orders_at_once_are_refused(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told to come again."""
    monkeypatch.setattr(pipeline, "SUBMITTED_AT_ONCE", 3)
    results = await asyncio.gather(
        *(bridge.apply(LAMP, desire({f"o{n}": n})) for n in range(5)), return_exceptions=True
    )
    assert [isinstance(result, StoreUnavailable) for result in results] == [False] * 3 + [True] * 2


async def test_an_order_that_is_not_wanted_any_more_is_passed_over(bridge: Bridge) -> None:
    """It is asked when its turn has come."""
    other = TwinKey("lamp-2")
    outcomes = await bridge._pipeline.submit_all(
        [(LAMP, desire({"on": 1})), (other, desire({"on": 1}))], wanted=lambda key: key == other
    )
    assert [outcome.version for outcome in outcomes] == [1]
    assert list(await bridge.run_store(lambda store: store.load([LAMP, other]))) == [other]
