"""What a command does to a store while no bridge runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import Config, LimitsConfig, StoreConfig
from bridge.core.orders import Deletion, ForgetWriter
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, Update
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.codec import raise_horizon
from bridge.store.restore import VERSION_STEP, restore
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

LAMP = TwinKey("lamp-1")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings of a store."""
    store = StoreConfig(path=tmp_path / "store.db")
    return Config(store=store, limits=LimitsConfig(twin_bytes=2048, named_twins=1))


@pytest.fixture
def store(config: Config) -> Iterator[SqliteStore]:
    """A store that the test holds."""
    opened = SqliteStore.open(config.store.path, limits=config.store.to_limits())
    yield opened
    opened.close()


def desire(patch: dict[str, object], **metadata: int) -> Update:
    """What an operator wants."""
    return Update(LAMP, "desired", "operator", patch, Metadata(**metadata), b"")  # type: ignore[arg-type]


def test_an_order_is_committed_with_its_history(store: SqliteStore, config: Config) -> None:
    """And counts as not yet published."""
    for number in (1, 2):
        outcome = apply_offline(store, config, LAMP, desire({"n": number}), now_us)
        assert (outcome.version, outcome.changed) == (number, True)
    (row,) = store.unpublished(None, 10)
    assert (row.key, row.version) == (LAMP, 2)
    assert b'"desired":{"n":2}' in row.state
    assert [change.version for change in store.history(LAMP, None, 10)] == [2, 1]


def test_what_is_refused_changes_nothing(store: SqliteStore, config: Config) -> None:
    """By version, by size, and by the number of names."""
    for key, order, error in (
        (LAMP, Deletion("operator"), "no_such_twin"),
        (LAMP, desire({"n": 1}, if_version=7), "version_mismatch"),
        (LAMP, desire({"text": "x" * 3000}), "twin_too_large"),
        (TwinKey("lamp-1", "one"), desire({}), None),
        (TwinKey("lamp-1", "two"), desire({}), "too_many_names"),
    ):
        refusal = apply_offline(store, config, key, order, now_us).refusal
        assert (refusal and refusal.error) == error
    assert store.load([LAMP, TwinKey("lamp-1", "two")]) == {}


def test_an_unknown_writer_needs_no_commit(store: SqliteStore, config: Config) -> None:
    """There is nothing to forget, and no row is made for that."""
    assert not apply_offline(store, config, LAMP, ForgetWriter("app"), now_us).store
    assert store.load([LAMP]) == {}


async def test_it_is_published_when_a_bridge_starts(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """And the bridge goes on from there."""
    config = make_config(mosquitto, tmp_path)
    with_store = SqliteStore.open(config.store.path, limits=config.store.to_limits())
    apply_offline(with_store, config, LAMP, desire({"on": True}), now_us)
    with_store.close()
    async with (
        connected_client(mosquitto, "sync/lamp-1/state") as client,
        running_bridge(config),
    ):
        assert (await client.until_version("sync/lamp-1/state", 1))["desired"] == {"on": True}
        await client.publish("sync/lamp-1/report", {"on": True})
        await client.until_version("sync/lamp-1/state", 2)


def test_a_twin_made_after_a_restore_begins_above_all_that_was(
    store: SqliteStore, config: Config, tmp_path: Path
) -> None:
    """Its key may have had versions that the backup does not know."""
    store.backup(tmp_path / "backup.db")
    store.close()
    restore(tmp_path / "backup.db", config.store.path, raise_internals=raise_horizon)
    again = SqliteStore.open(config.store.path, limits=config.store.to_limits())
    try:
        assert apply_offline(again, config, LAMP, desire({"n": 1}), now_us).version == (
            VERSION_STEP + 1
        )
    finally:
        again.close()
