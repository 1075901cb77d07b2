"""What happens to a batch when something cannot be done."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge import metrics
from bridge.config import StoreConfig
from bridge.core import orders
from bridge.errors import StoreCorrupt
from bridge.link.base import Message
from bridge.service import Bridge
from bridge.service import bridge as service_bridge
from bridge.store.base import CommitBatch, Store, StoredTwin
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import Client, connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto


async def set_page_limit(bridge: Bridge, pages: int) -> None:
    """Let the database file grow to so many pages and no further, as a full disk does."""

    def limit(store: Store) -> None:
        assert isinstance(store, SqliteStore)
        store._connection.execute("VACUUM")  # else free pages could still be filled
        store._connection.execute(f"PRAGMA max_page_count={pages}")

    await bridge.run_store(limit)


async def count_to(bridge: Bridge, counter: str, at_least: int) -> None:
    """Wait until a counter has reached a number."""
    async with asyncio.timeout(20):
        while bridge.counters.value(counter) < at_least:
            await asyncio.sleep(0.01)


async def report(client: Client, **fields: Any) -> None:
    """Report as lamp-1 and ask for a reply."""
    await client.publish("sync/lamp-1/report", {**fields, "$": {"id": "r"}})


async def test_nothing_is_acknowledged_while_the_store_is_full_and_nothing_is_lost(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """As soon as there is room, it goes on by itself."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        await set_page_limit(bridge, 1)
        for number in range(3):
            await report(client, **{f"f{number}": "x" * 20_000})
        await count_to(bridge, metrics.COMMIT_FAILURES, 2)
        assert client.has_arrived() == []
        assert await retained(mosquitto, "sync/+/state") == {}
        await set_page_limit(bridge, 1_000_000)
        for _ in range(3):
            assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
        stored = await bridge.run_store(lambda store: store.load([("lamp-1", "")]))  # type: ignore[list-item]
        state = (await retained(mosquitto, "sync/+/state"))["sync/lamp-1/state"]
        assert [twin.state for twin in stored.values()] == [state]


async def test_the_status_says_that_the_store_cannot_be_written_and_that_it_can_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Retained, at once, also on the next connection, and taken back by itself."""
    status = "sync/$bridge/status"
    store = StoreConfig(path=tmp_path / "store.db", retry_timeout_s=1)
    async with (
        running_bridge(make_config(mosquitto, tmp_path, store=store)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+", status) as client,
    ):
        assert "store" not in await client.next(status)
        await set_page_limit(bridge, 1)
        await report(client, f="x" * 20_000)
        said = []
        # Given up, the connection is dropped: the last will stands between the two.
        while said.count("unavailable") < 2 or False not in said:
            document = await client.next(status)
            said.append(document.get("store") if document["online"] else False)
        await set_page_limit(bridge, 1_000_000)
        assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
        while "store" in await client.next(status):
            pass
        assert b"store" not in (await retained(mosquitto, status))[status]


async def test_a_damaged_store_ends_the_bridge_and_leaves_the_messages_to_the_broker(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """They are not refused: nothing is wrong with them."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:
        await bridge.run_store(damage_twins)
        async with connected_client(mosquitto, "sync/+/reply/+") as client:
            await report(client, f=1)
            with pytest.raises(StoreCorrupt):
                async with asyncio.timeout(20):
                    await bridge.wait()
            assert client.has_arrived() == []
        assert bridge.counters.value(metrics.QUARANTINED) == 0


def damage_twins(store: Store) -> None:
    """Overwrite the page of the table of twins in the file, and let SQLite forget what it has."""
    assert isinstance(store, SqliteStore)
    connection = store._connection
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'twin'").fetchone()[
        0
    ]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    connection.execute("PRAGMA shrink_memory")


async def test_a_store_that_stays_away_makes_the_broker_keep_the_messages(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The connection is dropped, the session resumed, and everything delivered again."""
    store = StoreConfig(path=tmp_path / "store.db", retry_timeout_s=1)
    async with (
        running_bridge(make_config(mosquitto, tmp_path, store=store)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        first = bridge.session
        await set_page_limit(bridge, 1)
        for number in range(3):
            await report(client, **{f"f{number}": "x" * 20_000})
        async with asyncio.timeout(20):
            while bridge.session in (first, None):
                await asyncio.sleep(0.01)
        assert bridge.session is not None
        assert bridge.session.session_present
        await set_page_limit(bridge, 1_000_000)
        for _ in range(3):
            assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]


async def test_a_message_that_can_never_be_processed_is_put_away_alone(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is halved until the culprit stands alone; all others take effect."""
    reconcile = orders.reconcile

    def fail_for_the_culprit(twin: Any, update: Any, *rest: Any) -> Any:
        if "culprit" in update.patch:
            raise ArithmeticError("planted")
        return reconcile(twin, update, *rest)

    monkeypatch.setattr(orders, "reconcile", fail_for_the_culprit)
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, "sync/lamp-1/reply/+") as client:
        async with running_bridge(config) as bridge:
            # A batch of many: they gather while the first one commits.
            for number in range(20):
                name = "culprit" if number == 11 else f"f{number}"
                await client.publish("sync/lamp-1/report", {name: number, "$": {}})
            await report(client, last=True)
            assert (await client.next("sync/lamp-1/reply/lamp-1"))["$"]["ok"]
            kept = await bridge.run_store(lambda store: store.quarantine(10))
        assert [(row.code, row.error) for row in kept] == [(500, "cannot_process")]
        assert kept[0].payload == b'{"culprit":11,"$":{}}'
        async with running_bridge(config):
            await client.publish("sync/lamp-1/get/me", b"")
            whole = await client.next("sync/lamp-1/reply/me")
    assert whole["reported"].keys() == {f"f{n}" for n in range(20) if n != 11} | {"last"}


async def test_a_batch_of_nothing_but_the_bridges_own_status_needs_no_store(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends even where nothing can be processed: there is nothing in it to halve."""
    async with running_bridge(make_config(mosquitto, tmp_path)) as bridge:

        async def fail(_messages: object) -> None:
            raise ArithmeticError("planted")

        monkeypatch.setattr(bridge._pipeline, "_process_once", fail)
        await bridge._pipeline.process([Message("sync/$bridge/status", b"{}", 0, False, 1, 0)])


async def test_a_twin_that_another_writer_has_changed_is_reconciled_anew(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The store tells which twins were stale; they are loaded again."""
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        await report(client, on=True)
        await client.next("sync/lamp-1/reply/lamp-1")

        def change_behind_its_back(store: Store) -> None:
            twin: StoredTwin
            (twin,) = store.load([("lamp-1", "")]).values()  # type: ignore[list-item]
            store.commit(CommitBatch([twin._replace(revision=twin.revision + 1)]))

        await bridge.run_store(change_behind_its_back)
        await report(client, on=False)
        reply = (await client.next("sync/lamp-1/reply/lamp-1"))["$"]
        assert (reply["ok"], reply["version"]) == (True, 2)


async def test_what_was_committed_and_not_published_is_published_at_the_next_start(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """State, delta, and the clearing of a deleted twin's topics."""
    config = make_config(mosquitto, tmp_path)
    async with running_bridge(config) as bridge, connected_client(mosquitto) as client:
        await client.publish("sync/lamp-1/desire/app", {"on": True})
        await client.publish("sync/lamp-2/report", {"on": True})
        await client.publish("sync/lamp-2/delete/app", b"")
        await count_to(bridge, metrics.PUBLISHED, 2)
    before = await retained(mosquitto, "sync/lamp-1/#", "sync/lamp-2/#")
    assert before.keys() == {"sync/lamp-1/state", "sync/lamp-1/delta"}
    unpublish(config.store.path)
    async with connected_client(mosquitto) as client:
        for topic in before:
            await client.publish(topic, b"", retain=True)
        await client.publish("sync/lamp-2/state", b"left over", retain=True)
    async with running_bridge(config) as bridge:
        await count_to(bridge, metrics.PUBLISHED, 2)
        assert await retained(mosquitto, "sync/lamp-1/#", "sync/lamp-2/#") == before


async def test_a_clean_stop_leaves_nothing_committed_and_unpublished(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Even when it comes in the middle of a batch."""
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto, "sync/+/reply/+") as client:
        async with running_bridge(config):
            for number in range(300):
                topic = f"sync/lamp-{number % 60}/report"
                await client.publish(topic, {"n": number, "$": {"id": str(number)}})
            await client.next_message()
        store = SqliteStore.open(config.store.path, limits=config.store.to_limits())
        try:
            assert store.unpublished(None, 10) == []
            rows = store.changed_since(0, None, 1000)
        finally:
            store.close()
    states = await retained(mosquitto, "sync/+/state")
    assert states == {f"sync/{row.key}/state": row.state for row in rows}


async def test_a_poison_that_comes_while_the_store_is_full_does_not_end_the_bridge(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is put away as soon as there is room, and answered, so that it is not sent for ever."""

    def fail(*_arguments: object) -> None:
        raise ArithmeticError("planted")

    monkeypatch.setattr(orders, "reconcile", fail)
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        await set_page_limit(bridge, 1)
        await report(client, text="x" * 50_000)
        await count_to(bridge, metrics.COMMIT_FAILURES, 2)
        await set_page_limit(bridge, 1_000_000)
        refused = (await client.next("sync/lamp-1/reply/lamp-1"))["$"]
        assert (refused["code"], refused["error"]) == (500, "cannot_process")
        assert len(await bridge.run_store(lambda store: store.quarantine(10))) == 1


async def test_an_end_that_takes_too_long_leaves_the_last_will(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status does not stay online."""
    monkeypatch.setattr(service_bridge, "GOODBYE_S", 0.3)
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/$bridge/status") as client,
    ):
        while not (await client.next("sync/$bridge/status"))["online"]:
            pass
        await set_page_limit(bridge, 1)
        await client.publish("sync/lamp-1/report", {"text": "x" * 50_000})
        await count_to(bridge, metrics.COMMIT_FAILURES, 1)
    async with connected_client(mosquitto, "sync/$bridge/status") as client:
        while (await client.next("sync/$bridge/status"))["online"]:
            pass


def unpublish(path: Path) -> None:
    """Set the store back to the moment between commit and publish."""
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT OR REPLACE INTO outbox SELECT id, 0 FROM twin")
    connection.close()
