"""The policies of the configuration hold in a running bridge, and over a restart."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bridge.config import Config, StoreConfig
from bridge.core.limits import Limits
from bridge.core.policy import Policies
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Metadata, Update
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.sqlite import SqliteStore
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

POLICIES = Policies.parse(
    {"*": {"desired.total": "sum", "desired.locked": "refuse"}, "free-*": {"desired.**": "latest"}},
    Limits(),
)
LAMP = TwinKey("lamp-1")


async def test_a_policy_holds_from_the_first_message_on_and_after_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A twin that is made, one that is loaded, and none of another pattern."""
    config = make_config(mosquitto, tmp_path, policies=POLICIES)
    topics = ("sync/lamp-1/state", "sync/free-1/state")
    async with connected_client(mosquitto, *topics) as client:
        async with running_bridge(config):
            for device in ("lamp-1", "free-1"):
                for writer, total in (("anna", 3), ("bert", 4)):
                    await client.publish(f"sync/{device}/desire/{writer}", {"total": total})
            assert (await client.until_version(topics[0], 2))["desired"] == {"total": 7}
            assert (await client.until_version(topics[1], 2))["desired"] == {"total": 4}
        async with running_bridge(config):
            await client.publish("sync/lamp-1/desire/anna", {"total": 10})
            assert (await client.until_version(topics[0], 3))["desired"] == {"total": 14}


async def test_what_a_concurrent_write_lost_is_in_the_conflict_log(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Committed with the message that is answered."""
    config = make_config(mosquitto, tmp_path, policies=POLICIES)
    async with (
        running_bridge(config) as bridge,
        connected_client(mosquitto, "sync/lamp-1/reply/+") as client,
    ):
        for writer, payload in (
            ("anna", {"mode": "eco", "$": {"id": "1"}}),
            ("bert", {"mode": "party", "$": {"id": "2", "t": 1_600_000_000_000_000}}),
        ):
            await client.publish(f"sync/lamp-1/desire/{writer}", payload)
            await client.next(f"sync/lamp-1/reply/{writer}")
        ((_, row),) = await bridge.run_store(lambda store: store.conflicts(LAMP, None, 10))
        assert (row.key, row.version, row.section) == (LAMP, 1, "desired")
        assert (row.kept_by, row.lost_by, row.policy) == ("anna", "bert", "latest")
        assert (orjson.loads(row.path), orjson.loads(row.lost)) == (["mode"], "party")


@pytest.mark.parametrize(("seen", "error"), [(1, None), (0, "conflict")])
def test_a_command_without_a_bridge_keeps_to_the_policies(
    tmp_path: Path, seen: int, error: str | None
) -> None:
    """It has the same configuration."""
    config = Config(store=StoreConfig(path=tmp_path / "store.db"), policies=POLICIES)
    store = SqliteStore.open(config.store.path, limits=config.store.to_limits())
    try:
        for writer, patch, metadata in (
            ("anna", {"locked": True}, Metadata()),
            ("operator", {"locked": False}, Metadata(seen=seen)),
        ):
            desired: JsonObject = {**patch}
            order = Update(LAMP, "desired", writer, desired, metadata, b"")
            refusal = apply_offline(store, config, LAMP, order, now_us).refusal
        assert (refusal and refusal.error) == error
    finally:
        store.close()
