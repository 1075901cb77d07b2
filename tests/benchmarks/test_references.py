"""What the bridge is held against does what it says, on a real Mosquitto."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import mqtt5
import orjson
import pytest

from benchmarks.client import open_client
from benchmarks.echo_batched import Echo
from benchmarks.packets import Publish
from benchmarks.paho_bridge import Table, merge_patch
from benchmarks.payloads import FIRST_NUMBER, make_large_payload, make_payload
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


async def test_what_a_peer_loses_of_a_twin_is_noticed(tmp_path: Path) -> None:
    """An echo forgets the fields that a patch does not name."""
    with Mosquitto(tmp_path / "broker") as broker:
        watcher = await open_watcher(broker.port, 1, is_twin=False)
        async with peer_process(ECHO, broker.port, tmp_path / "peer") as process:
            await process.while_running(watcher.wait_for_peer(30))
            phases = Phases(
                Processes(broker.port, broker.pid, process.pid),
                1,
                watcher,
                is_twin=False,
                first=make_large_payload(FIRST_NUMBER),
            )
            await phases.introduce(range(1))
            assert watcher.faults == []
            await phases.blast(range(1), 1)
        watcher.close()
    assert len(watcher.faults) == 1
    assert "is not" in watcher.faults[0]


def test_the_echo_keeps_the_receive_maximum() -> None:
    """What has no room waits for a PUBACK, unacknowledged."""
    mine, its = socket.socketpair()
    with mine, its:
        mine.settimeout(10)
        echo = threading.Thread(target=Echo(its).run)
        echo.start()
        greeting = mine.recv(4096)
        assert isinstance(mqtt5.read(memoryview(greeting))[0], mqtt5.ConnectPacket)
        mine.sendall(mqtt5.ConnAckPacket(receive_max=2).write())
        at_least_once = mqtt5.QoS.AT_LEAST_ONCE
        mine.sendall(
            b"".join(
                mqtt5.PublishPacket("sync/a/report", b"1", qos=at_least_once, packet_id=n).write()
                for n in (1, 2, 3)
            )
        )
        assert [type(packet) for packet in read_packets(mine, 4)] == [
            mqtt5.PublishPacket,
            mqtt5.PubAckPacket,
        ] * 2
        mine.sendall(mqtt5.PubAckPacket(1).write())
        publish, acknowledgement = read_packets(mine, 2)
        assert isinstance(publish, mqtt5.PublishPacket)
        assert (publish.topic, publish.packet_id, publish.retain) == ("sync/a/state", 3, True)
        assert isinstance(acknowledgement, mqtt5.PubAckPacket)
        assert acknowledgement.packet_id == 3
        mine.shutdown(socket.SHUT_WR)
        echo.join(10)
        assert not echo.is_alive()


def read_packets(connection: socket.socket, count: int) -> list[mqtt5.Packet]:
    """Return the next so many packets, and see that nothing follows; SUBSCRIBE is passed over."""
    packets: list[mqtt5.Packet] = []
    data = b""
    while len(packets) < count:
        data += connection.recv(4096)
        while data:
            packet, size_bytes = mqtt5.read(memoryview(data))
            data = data[size_bytes:]
            if not isinstance(packet, mqtt5.SubscribePacket):
                packets.append(packet)
    assert len(packets) == count
    return packets


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
