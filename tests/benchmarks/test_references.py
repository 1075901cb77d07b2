"""What the bridge is held against does what it says, on a real Mosquitto."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.client import open_client
from benchmarks.packets import Publish
from benchmarks.paho_bridge import Table, merge_patch
from benchmarks.payloads import FIRST_NUMBER, make_payload
from benchmarks.peers import ECHO, GROUP_COMMIT, PER_MESSAGE, has_twins, peer_process
from benchmarks.phases import Phases, Processes
from benchmarks.stored import read_retained
from benchmarks.watcher import open_watcher
from tests.support.mosquitto import Mosquitto

DEVICES = range(20)
TURNS = 10


@pytest.mark.parametrize("extra", ["", "max_inflight_messages 1"])
@pytest.mark.parametrize("peer", [ECHO, GROUP_COMMIT, PER_MESSAGE])
async def test_every_report_becomes_a_retained_state(peer: str, extra: str, tmp_path: Path) -> None:
    """All devices show their last update, also where the broker takes one publish at a time."""
    with Mosquitto(tmp_path / "broker", extra=extra) as broker:
        watcher = await open_watcher(broker.port, len(DEVICES), is_twin=has_twins(peer))
        async with peer_process(peer, broker.port, tmp_path / "peer") as process:
            await process.while_running(watcher.wait_for_peer(30))
            phases = Phases(
                Processes(broker.port, broker.pid, process.pid),
                2,
                watcher,
                is_twin=has_twins(peer),
                first=make_payload(FIRST_NUMBER),
            )
            await process.while_running(phases.introduce(DEVICES))
            figures = await process.while_running(phases.blast(DEVICES, TURNS))
            await phases.check_retained()
        watcher.close()
    assert watcher.faults == []
    assert figures["updates_per_s"] > 0
    assert 0 < figures["states_per_update"] <= 1
    if peer == ECHO:
        assert figures["states_per_update"] == 1


async def test_the_echo_gives_back_the_very_bytes(tmp_path: Path) -> None:
    """It does not read what it echoes."""
    payload = b"\x00no JSON\xff"
    with Mosquitto(tmp_path / "broker") as broker:
        watcher = await open_watcher(broker.port, 1, is_twin=False)
        async with peer_process(ECHO, broker.port, tmp_path / "peer") as process:
            await process.while_running(watcher.wait_for_peer(30))
            received: list[Publish] = []
            client = await open_client(broker.port, "device", on_publish=received.append)
            await client.subscribe(["sync/lamp/state"], 1)
            client.publish("sync/lamp/report", payload)
            await client.all_acknowledged()
            while not received:
                await client.ping()
            await client.close()
            retained = await read_retained(broker.port, "sync")
        watcher.close()
    assert received[0].payload == payload
    assert received[0].packet_id
    assert retained["sync/lamp/state"] == payload


def test_the_table_merges_and_counts(tmp_path: Path) -> None:
    """Null removes; each report is a version; another process would find it all."""
    path = tmp_path / "twins.db"
    for expected, payload in (
        ({"version": 1, "reported": {"a": 1, "b": {"c": 2}}}, b'{"a":1,"b":{"c":2}}'),
        ({"version": 2, "reported": {"b": {"c": 2, "d": 3}}}, b'{"a":null,"b":{"d":3}}'),
    ):
        table = Table(path)
        table.begin()
        assert orjson.loads(table.merge("lamp", payload)) == expected
        table.commit()
        table.close()


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": None}, {}),
        ({"a": [1]}, {"a": {"b": None}}, {"a": {}}),
        ([1], {"a": 1}, {"a": 1}),
        ({"a": 1}, [2], [2]),
    ],
)
def test_a_merge_patch_is_that_of_the_standard(
    target: object, patch: object, result: object
) -> None:
    """Cases of RFC 7396, appendix A."""
    assert merge_patch(target, patch) == result
