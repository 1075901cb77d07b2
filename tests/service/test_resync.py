"""What a bridge asks devices for, on a real broker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from bridge import metrics
from bridge.config import Config, PublishConfig, ResyncConfig
from bridge.core.orders import Deletion, ForgetWriter
from bridge.core.topics import TwinKey
from bridge.service import roll_call
from bridge.store.codec import raise_horizon
from bridge.store.restore import restore
from tests.support.bridge import Client, connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

AT_ONCE = ResyncConfig(gap_timeout_s=0.05, interval_s=3600.0)
"""Gaps are asked for as soon as may be, and never twice in a test."""

PATIENT = ResyncConfig(gap_timeout_s=3600.0)
"""Nobody is asked in a test."""


def config_for(
    broker: Mosquitto, directory: Path, resync: ResyncConfig, **sections: object
) -> Config:
    """The settings of a bridge that asks like this."""
    return make_config(broker, directory, resync=resync, **sections)


async def report(
    client: Client, seq: int, topic: str = "sync/lamp-1/report", **meta: object
) -> None:
    """Report as a device that numbers its messages, and wait until it is on the disk."""
    metadata = {"id": f"s{seq}", "boot": "b", "seq": seq, **meta}
    await client.publish(topic, {"n": seq, "$": metadata})
    device = topic.split("/")[1]
    reply = topic.replace("/report", f"/reply/{device}")
    while (await client.next(reply))["$"]["id"] != f"s{seq}":
        pass


async def test_a_gap_is_asked_for_and_a_full_report_closes_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """With an id, the reason, the boot, and the numbers that are missing; byte for byte."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, AT_ONCE)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/resync", "sync/lamp-1/reply/+") as client,
    ):
        await report(client, 1)
        await report(client, 4)
        question = await client.next_message("sync/lamp-1/resync")
        assert question.payload == (
            b'{"$":{"id":"r1"},"reason":"gap","boot":"b","missing":[[2,3]]}'
        )
        assert not question.retain
        assert question.properties is not None
        assert question.properties.ContentType == "application/json"
        await report(client, 5, full=True)
        await report(client, 2)
        assert bridge.counters.value(metrics.RESYNCS, "gap") == 1
        found = await bridge.run_store(lambda store: store.load([TwinKey("lamp-1")]))
        assert orjson.loads(found[TwinKey("lamp-1")].state)["reported"] == {"n": 5}


async def test_a_named_twin_is_asked_on_its_own_topic(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Its numbers count for themselves."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, AT_ONCE)),
        connected_client(mosquitto, "sync/lamp-1/+/resync", "sync/lamp-1/config/reply/+") as client,
    ):
        for seq in (1, 3):
            await report(client, seq, "sync/lamp-1/config/report")
        question = await client.next("sync/lamp-1/config/resync")
        assert (question["reason"], question["missing"]) == ("gap", [[2, 2]])


async def test_a_device_that_does_not_answer_is_asked_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Each time with an id of its own; and no more once the gap is filled."""
    patience = ResyncConfig(gap_timeout_s=0.05, interval_s=0.1)
    async with (
        running_bridge(config_for(mosquitto, tmp_path, patience)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/resync", "sync/lamp-1/reply/+") as client,
    ):
        for seq in (1, 3):
            await report(client, seq)
        ids = [(await client.next("sync/lamp-1/resync"))["$"]["id"] for _ in range(3)]
        assert ids == ["r1", "r2", "r3"]
        await report(client, 2)
        asked = bridge.counters.value(metrics.RESYNCS, "gap")
        await asyncio.sleep(0.5)
        assert bridge.counters.value(metrics.RESYNCS, "gap") == asked


async def test_what_was_missed_before_a_writers_first_message_is_not_asked_for(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It was perhaps meant for another bridge. Nor what an application has left out."""
    async with (
        running_bridge(config_for(mosquitto, tmp_path, AT_ONCE)),
        connected_client(mosquitto, "sync/+/resync") as asked,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        await report(client, 7)
        for seq in (1, 9):
            await client.publish(
                "sync/lamp-1/desire/app", {"n": seq, "$": {"id": "d", "boot": "b", "seq": seq}}
            )
        # Another device has one: its question would come after those.
        for seq in (1, 3):
            await report(client, seq, "sync/lamp-2/report")
        assert (await asked.next_message()).topic.value == "sync/lamp-2/resync"


async def test_a_gap_from_before_a_restart_is_asked_for_when_the_device_is_heard(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The store knows of it."""
    async with connected_client(mosquitto, "sync/+/resync", "sync/lamp-1/reply/+") as client:
        async with running_bridge(config_for(mosquitto, tmp_path, PATIENT)):
            for seq in (1, 3):
                await report(client, seq)
        async with running_bridge(config_for(mosquitto, tmp_path, AT_ONCE)):
            await report(client, 4)
            assert (await client.next("sync/lamp-1/resync"))["missing"] == [[2, 2]]


@pytest.mark.parametrize("order", [Deletion("app"), ForgetWriter("lamp-1")])
async def test_a_twin_whose_numbers_do_not_matter_any_more_is_not_asked(
    mosquitto: Mosquitto, tmp_path: Path, order: Deletion | ForgetWriter
) -> None:
    """It was deleted, or they are forgotten, while the gap was waited for."""
    patience = ResyncConfig(gap_timeout_s=2.0)
    async with (
        running_bridge(config_for(mosquitto, tmp_path, patience)) as bridge,
        connected_client(mosquitto, "sync/+/resync") as asked,
        connected_client(mosquitto, "sync/+/reply/+") as client,
    ):
        for seq in (1, 3):
            await report(client, seq)
        await bridge.apply(TwinKey("lamp-1"), order)
        for seq in (1, 3):
            await report(client, seq, "sync/lamp-2/report")
        assert (await asked.next_message()).topic.value == "sync/lamp-2/resync"


async def test_questions_to_all_devices_together_are_paced(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """However many have gaps."""
    pace = ResyncConfig(gap_timeout_s=0.05, per_s=20)
    async with (
        running_bridge(config_for(mosquitto, tmp_path, pace)),
        connected_client(mosquitto, "sync/+/resync") as client,
    ):
        clock = asyncio.get_running_loop().time
        for seq in (1, 3):
            # Before anything is missing: whatever is late here, the questions begin later still.
            began_at = clock()
            for number in range(16):
                await client.publish(
                    f"sync/d{number}/report", {"n": seq, "$": {"boot": "b", "seq": seq}}
                )
        topics = {(await client.next_message()).topic.value for _ in range(16)}
        assert len(topics) == 16
        # Two of them may go at once.
        assert clock() - began_at >= (16 - 2.5) / 20


async def test_a_lost_session_makes_the_bridge_ask_every_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each; and a bridge that was stopped meanwhile goes on where it was."""
    monkeypatch.setattr(roll_call, "PAGE_TWINS", 2)
    pace = ResyncConfig(gap_timeout_s=0.3, per_s=4)
    topics = {f"sync/d{number}/resync" for number in range(6)} | {"sync/d0/config/resync"}
    with Mosquitto(tmp_path / "broker") as broker:
        config = config_for(broker, tmp_path, pace)
        async with (
            running_bridge(config),
            connected_client(broker, "sync/+/reply/+", "sync/+/+/reply/+") as client,
        ):
            for topic in sorted(topics):
                await client.publish(topic.replace("resync", "report"), {"$": {"id": "r"}})
            for _ in topics:
                await client.next_message()
        # Without persistence it forgets its sessions.
        broker.stop()
        broker.start()
        filters = ("sync/+/resync", "sync/+/+/resync")
        async with connected_client(broker, *filters) as client:
            async with running_bridge(config) as bridge:
                found = [await client.next_message() for _ in range(3)]
                assert bridge.counters.value(metrics.SESSIONS_LOST) == 1
            async with running_bridge(config) as bridge:
                while {message.topic.value for message in found} != topics:
                    found.append(await client.next_message())
                assert bridge.counters.value(metrics.SESSIONS_LOST) == 0
                async with asyncio.timeout(20):
                    while (await bridge.run_store(lambda s: s.metadata()))[roll_call.ROLL_CALL]:
                        await asyncio.sleep(0.01)
            async with running_bridge(config):
                await asyncio.sleep(1.0)
        assert len(found) <= len(topics) + 2
        assert client.has_arrived() == []
        assert isinstance(found[0].payload, bytes)
        question = orjson.loads(found[0].payload)
        assert question == {"$": {"id": "r1"}, "reason": "session_lost"}


async def test_a_restored_backup_makes_the_bridge_ask_every_device(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """What they reported after the backup is not in it."""
    config = config_for(mosquitto, tmp_path, AT_ONCE)
    async with connected_client(mosquitto, "sync/+/resync", "sync/+/reply/+") as client:
        async with running_bridge(config) as bridge:
            await report(client, 1)
            await bridge.run_store(lambda store: store.backup(tmp_path / "backup.db"))
        restore(tmp_path / "backup.db", config.store.path, raise_internals=raise_horizon)
        async with running_bridge(config):
            question = await client.next("sync/lamp-1/resync")
            assert question == {"$": {"id": "r1"}, "reason": "store_restored"}


async def test_questions_are_in_msgpack_where_states_are(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A device that reads only that understands them."""
    publish = PublishConfig(encoding="msgpack")
    async with (
        running_bridge(config_for(mosquitto, tmp_path, AT_ONCE, publish=publish)),
        connected_client(mosquitto, "sync/lamp-1/resync", "sync/lamp-1/reply/+") as client,
    ):
        for seq in (1, 3):
            await report(client, seq)
        question = await client.next_message("sync/lamp-1/resync")
        assert isinstance(question.payload, bytes)
        assert question.payload[0] == 0x84
        assert question.properties is not None
        assert question.properties.ContentType == "application/msgpack"
