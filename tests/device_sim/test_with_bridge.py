"""The simulator and the real bridge, each the other's proof."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.config import BrokerConfig, Config, EmbeddedConfig, StoreConfig
from bridge.device import Encoding, JsonObject
from bridge.errors import Refused
from device_sim import Broker, Fleet, FleetOptions
from device_sim.document import differences, visible
from device_sim.replay import read_documents, replay
from tests.device_sim.waiting import PATIENCE_S, wait_until
from tests.support.bridge import make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto, free_port

_ROOT = Path(__file__).parents[2]
_SHELLY = _ROOT / "tests" / "data" / "shelly"
_BULB = read_documents(_SHELLY / "duo-bulb-gen3.json")[0]
_METER = read_documents(_SHELLY / "pro-3em.json")[0]
_ENCODINGS = pytest.mark.parametrize("encoding", ["json", "msgpack"])


def _options(broker: Mosquitto, **changed: Any) -> FleetOptions:
    values: dict[str, Any] = {
        "broker": Broker(port=broker.port),
        "devices": 20,
        "rate_hz": 5.0,
        "desired_rate_hz": 20.0,
        "duration_s": 1.5,
        "seed": 7,
        "converge_s": PATIENCE_S,
        "find_s": PATIENCE_S,
    }
    return FleetOptions(**(values | changed))


@_ENCODINGS
async def test_a_fleets_twins_are_what_its_devices_believe(
    mosquitto: Mosquitto, tmp_path: Path, encoding: Encoding
) -> None:
    """And every desired change was obeyed."""
    async with running_bridge(make_config(mosquitto, tmp_path)):
        summary = await Fleet(_options(mosquitto, encoding=encoding)).run()
    assert summary.ok, summary
    assert summary.twins_equal == 20
    assert summary.acknowledged == summary.sent > 100
    assert summary.desired_converged == summary.desired_sent > 10
    assert summary.latency_count > 100


async def test_the_same_seed_may_run_again_on_the_same_bridge(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The bridge remembers the first run's boots; the second has others and nothing is a repeat."""
    async with running_bridge(make_config(mosquitto, tmp_path)):
        for _ in range(2):
            summary = await Fleet(_options(mosquitto, duration_s=0.5)).run()
            assert summary.ok, summary
            assert summary.duplicates == 0


async def test_a_deleted_fleet_may_run_again(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A deletion clears the retained states; the bridge still knows the versions, and tells."""
    options = _options(mosquitto, devices=3, duration_s=0.3, desired_rate_hz=0.0)
    async with running_bridge(make_config(mosquitto, tmp_path)):
        fleet = Fleet(options)
        await fleet.run()
        async with aiomqtt.Client(mosquitto.host, mosquitto.port) as client:
            for device in fleet.devices:
                await client.publish(f"sync/{device}/delete/test", b"{}", qos=1)
        summary = await Fleet(options).run()
    assert summary.ok, summary
    assert summary.duplicates == 0


async def test_a_broker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """It comes back empty; devices send again what was not answered, the bridge its twins."""
    broker = Mosquitto(tmp_path / "mosquitto")
    with broker:
        async with running_bridge(make_config(broker, tmp_path)):
            fleet = Fleet(_options(broker, duration_s=None))
            running = asyncio.create_task(fleet.run())
            await wait_until(lambda: fleet.progress().acknowledged > 50)
            broker.kill()
            await wait_until(lambda: fleet.progress().online == 0)
            broker.start()
            before = fleet.progress().acknowledged
            await wait_until(lambda: fleet.progress().acknowledged > before + 50)
            fleet.stop()
            summary = await running
    assert summary.ok, summary
    assert summary.sent == summary.acknowledged


@contextmanager
def _bridge_process(broker: Mosquitto, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    address, store = f"mqtt://127.0.0.1:{broker.port}", str(directory / "store.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", "run", "--broker", address, "--store", store],
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_bridge_that_is_killed_loses_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """SIGKILL under traffic, and another bridge on the same store."""
    fleet = Fleet(_options(mosquitto, duration_s=None))
    with _bridge_process(mosquitto, tmp_path) as first:
        running = asyncio.create_task(fleet.run())
        await wait_until(lambda: fleet.progress().acknowledged > 50)
        first.kill()
        first.wait()
    with _bridge_process(mosquitto, tmp_path):
        before = fleet.progress().acknowledged
        await wait_until(lambda: fleet.progress().acknowledged > before + 50)
        fleet.stop()
        summary = await running
    assert summary.ok, summary
    assert summary.sent == summary.acknowledged


def _embedded(directory: Path) -> Config:
    """Return the configuration of a bridge with the embedded broker."""
    return Config(
        # amqtt leaves the question whether it speaks MQTT 5 without an answer.
        broker=BrokerConfig(connect_timeout_s=2.0),
        embedded=EmbeddedConfig(port=free_port()),
        store=StoreConfig(path=directory / "store.db"),
    )


async def _replay_both_ways(broker: Broker, encoding: Encoding) -> None:
    """Replay each document alone, and then one after the other as one device."""
    for device, document in (("bulb:1", _BULB), ("meter:1", _METER)):
        result = await replay([document], device, broker=broker, encoding=encoding)
        assert result.ok, result.differences
        assert result.reports == 1
    changing: list[JsonObject] = [
        _BULB,
        _METER,
        _BULB,
        {"ble": {"x": 1}},
        {"ble": {}, "eth": {"ip": None}},
    ]
    result = await replay(changing, "shape-shifter", broker=broker, encoding=encoding)
    assert result.ok, result.differences
    assert result.acknowledged == result.reports == 6


@_ENCODINGS
async def test_real_documents_come_back_bit_for_bit_through_mosquitto(
    mosquitto: Mosquitto, tmp_path: Path, encoding: Encoding
) -> None:
    """From `get`, and from the retained state that anyone may read."""
    async with running_bridge(make_config(mosquitto, tmp_path)):
        await _replay_both_ways(Broker(port=mosquitto.port), encoding)
        states = await retained(mosquitto, "sync/+/state")
    for device, document in (("bulb:1", _BULB), ("meter:1", _METER)):
        reported: JsonObject = json.loads(states[f"sync/{device}/state"])["reported"]
        assert list(differences(visible(document), reported)) == []


@_ENCODINGS
async def test_real_documents_come_back_bit_for_bit_through_the_embedded_broker(
    tmp_path: Path, encoding: Encoding
) -> None:
    """The same through amqtt."""
    async with running_bridge(_embedded(tmp_path)) as bridge:
        await _replay_both_ways(Broker(bridge.host, bridge.port), encoding)


async def test_a_fleet_runs_on_the_embedded_broker(tmp_path: Path) -> None:
    """As in the demo: some devices, and someone who desires."""
    async with running_bridge(_embedded(tmp_path)) as bridge:
        options = FleetOptions(
            broker=Broker(bridge.host, bridge.port),
            devices=20,
            desired_rate_hz=5.0,
            duration_s=2.0,
            converge_s=PATIENCE_S,
        )
        summary = await Fleet(options).run()
    assert summary.ok, summary
    assert summary.latency_count > 20


async def test_a_document_that_is_too_large_is_refused_with_the_reason(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The bridge's own words."""
    document: JsonObject = {"log": ["x" * 1000] * 100}
    async with running_bridge(make_config(mosquitto, tmp_path)):
        with pytest.raises(Refused, match="413"):
            await replay([document], "plug-7", broker=Broker(port=mosquitto.port))
