"""`syncbridge sweep`, with a real broker and a real bridge."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.api import AdminClient
from bridge.cli.access import administer
from bridge.cli.mqtt import BrokerClient
from bridge.cli.sweep import _Sweeping
from bridge.config import Address, Config, StoreConfig
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.cli.conftest import Installation, Result, Run
from tests.cli.program import WAIT_S
from tests.support.bridge import make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto


def _retain(client: BrokerClient, *topics: str, payload: bytes = b'{"version":1}') -> None:
    for topic in topics:
        client.publish(topic, payload, retain=True)


def _at(broker: Mosquitto, *filters: str) -> set[str]:
    return set(asyncio.run(retained(broker, *filters)))


@pytest.fixture
def sweep(installation: Installation, call: Run) -> Run:
    """Calls `syncbridge sweep` for the installation."""
    return lambda *options: call("sweep", f"--store={installation.store}", *options)


@pytest.fixture
def planted(installation: Installation, client: BrokerClient, call: Run) -> Iterator[set[str]]:
    """Orphans beside what is none; what is no orphan is there afterwards too."""
    call("set", "sweep-here", "desired.on=true")
    others = {"sync/sweep-new/presence", "sync/sweep-here/other", "elsewhere/sweep-1/state"}
    _retain(client, *others, payload=b"online")
    orphans = {
        "sync/sweep-1/state",
        "sync/sweep-1/delta",
        "sync/sweep-1/fw/state",
        "sync/sweep-2/presence",
        "sync/sweep-here/state/msgpack",
    }
    _retain(client, *orphans, payload=b"offline")
    yield orphans
    kept = others | {"sync/sweep-here/state", "sync/sweep-here/delta"}
    assert _at(installation.broker, "#") >= kept
    _retain(client, *others, payload=b"")


def _rows(result: Result) -> dict[str, dict[str, object]]:
    return {row["topic"]: row for row in map(json.loads, result.out.splitlines())}


def test_a_dry_run_lists_and_clears_nothing(
    sweep: Run, planted: set[str], installation: Installation, client: BrokerClient
) -> None:
    """One topic a line, with why."""
    result = sweep("--dry-run")
    assert (result.status, result.err) == (0, f"{len(planted)} found, 0 cleared\n")
    lines = set(result.out.splitlines())
    assert "sync/sweep-1/fw/state there is no such twin" in lines
    assert "sync/sweep-here/state/msgpack nothing is published in this encoding" in lines
    assert {line.split()[0] for line in lines} == planted
    assert _at(installation.broker, "#") >= planted
    _retain(client, *planted, payload=b"")


def test_orphans_are_cleared_and_nothing_else(
    sweep: Run, planted: set[str], installation: Installation
) -> None:
    """By the bridge; a second sweep finds nothing."""
    result = sweep("--json")
    assert (result.status, result.err) == (0, "")
    rows = _rows(result)
    assert set(rows) == planted
    assert rows["sync/sweep-1/fw/state"] == {
        "topic": "sync/sweep-1/fw/state",
        "device": "sweep-1",
        "name": "fw",
        "reason": "unknown",
        "cleared": True,
    }
    assert not _at(installation.broker, "#") & planted
    assert sweep("--json") == (0, "", "")


def test_what_came_back_of_a_deleted_twin_is_cleared(
    sweep: Run, call: Run, client: BrokerClient, installation: Installation
) -> None:
    """As by a broker that was restored from an older snapshot."""
    call("set", "sweep-gone", "reported.on=true")
    call("delete", "sweep-gone", "--yes")
    _retain(client, "sync/sweep-gone/state")
    assert _rows(sweep("--json"))["sync/sweep-gone/state"]["reason"] == "deleted"
    assert "sync/sweep-gone/state" not in _at(installation.broker, "#")


def _config(installation: Installation) -> Config:
    return make_config(
        installation.broker,
        installation.store.parent,
        store=StoreConfig(path=installation.store),
    )


def test_a_twin_that_comes_to_be_after_the_search_is_not_touched(
    installation: Installation, call: Run, client: BrokerClient
) -> None:
    """It is asked again right before."""
    _retain(client, "sync/sweep-late/state")
    config = _config(installation)
    with administer(config) as admin, BrokerClient.from_config(config) as own:
        sweeping = _Sweeping(config, admin, own, WAIT_S)
        found = list(sweeping.find())
        assert "sync/sweep-late/state" in {orphan.topic for orphan in found}
        call("set", "sweep-late", "reported.on=true")
        assert "sync/sweep-late/state" not in sweeping.clear(found)
    assert "sync/sweep-late/state" in _at(installation.broker, "#")


def test_twins_that_come_to_be_during_the_sweep_keep_their_state(
    installation: Installation, sweep: Run, client: BrokerClient
) -> None:
    """Whichever comes first: what is retained at the end is what the store has."""
    devices = [f"sweep-race-{number}" for number in range(300)]
    _retain(client, *(f"sync/{device}/state" for device in devices))

    def report() -> None:
        broker = installation.broker
        with BrokerClient(Address(broker.host, broker.port)) as fleet:
            for device in reversed(devices):
                fleet.publish(f"sync/{device}/report", b'{"on":true}')

    reporting = threading.Thread(target=report)
    reporting.start()
    result = sweep()
    reporting.join()
    assert result.status == 0, result.err
    _wait_for_version(installation.broker, devices)


def _wait_for_version(broker: Mosquitto, devices: list[str]) -> None:
    """Wait until each of them has its state, whole."""
    wanted = {f"sync/{device}/state" for device in devices}
    with BrokerClient(Address(broker.host, broker.port)) as reader:
        reader.subscribe(["sync/+/state"], qos=0)
        present: set[str] = set()
        while wanted - present:
            message = reader.receive(WAIT_S)
            assert message is not None, f"without a state: {len(wanted - present)}"
            has_state = b'"reported":{"on":true}' in message.payload
            (present.add if has_state else present.discard)(message.topic)
    at_the_end = asyncio.run(retained(broker, "sync/+/state"))
    assert all(b'"reported":{"on":true}' in at_the_end.get(topic, b"") for topic in wanted)


def test_another_prefix_is_not_swept(
    call: Run, installation: Installation, client: BrokerClient
) -> None:
    """There everything would look as if it belonged to nobody."""
    _retain(client, "plant/lamp-1/state")
    result = call("sweep", f"--store={installation.store}", "--prefix", "plant")
    assert result.status == 2
    assert "no bridge's" in result.err
    _retain(client, "plant/$bridge/status", payload=b'{"instance":"of-another"}')
    result = call("sweep", f"--store={installation.store}", "--prefix", "plant")
    assert result.status == 2
    assert "another bridge's" in result.err
    assert "plant/lamp-1/state" in _at(installation.broker, "plant/#")
    _retain(client, "plant/lamp-1/state", "plant/$bridge/status", payload=b"")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        yield Path(directory)


def test_without_a_bridge_it_clears_them_itself(
    run: Run, mosquitto: Mosquitto, short_path: Path
) -> None:
    """On the store that the last bridge left, and at the broker that it published on."""

    async def serve_once() -> None:
        async with running_bridge(make_config(mosquitto, short_path)):
            pass

    asyncio.run(serve_once())
    with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
        _retain(client, "sync/lamp-9/state", "sync/lamp-9/delta")
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    result = run("--broker", url, "sweep", f"--store={short_path / 'store.db'}")
    assert result.status == 0
    assert result.err.endswith("2 found, 2 cleared\n")
    assert _at(mosquitto, "#") == {"sync/$bridge/status"}


def test_what_may_not_be_written_is_said_to_be_left(
    run: Run, short_path: Path, tmp_path: Path
) -> None:
    """A denied publish is answered with success in MQTT 3.1.1: only what is seen counts."""
    with closing(SqliteStore.open(short_path / "store.db", limits=StoreLimits())) as store:
        instance = store.metadata()["instance"]
    acl = "topic read sync/#\ntopic write sync/$bridge/status\ntopic write sync/lamp-9/state\n"
    with Mosquitto(tmp_path / "writing", acl=acl, persistence=True) as broker:
        with BrokerClient(Address(broker.host, broker.port)) as client:
            _retain(client, "sync/lamp-9/state")
            status = json.dumps({"instance": instance}).encode()
            _retain(client, "sync/$bridge/status", payload=status)
        (tmp_path / "writing" / "acl").write_text("topic read sync/#\n")
        broker.stop()
        broker.start()
        url = f"mqtt://{broker.host}:{broker.port}"
        store_option = f"--store={short_path / 'store.db'}"
        result = run("--broker", url, "sweep", store_option, "--timeout", "500ms")
    assert result.status == 1
    assert "1 were not seen to be cleared, such as sync/lamp-9/state" in result.err


def test_where_both_encodings_are_published_both_are_the_twins(
    run: Run, mosquitto: Mosquitto, short_path: Path
) -> None:
    """The bridge says in what it publishes: the command's own configuration does not count."""
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"

    async def serve() -> Result:
        config = make_config(mosquitto, short_path, publish={"encoding": "both"})
        async with running_bridge(config):
            with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
                await asyncio.to_thread(client.publish, "sync/lamp-1/report", b'{"on":true}')
                await asyncio.to_thread(client.subscribe, ["sync/lamp-1/state/msgpack"])
                assert await asyncio.to_thread(client.receive, WAIT_S)
                _retain(client, "sync/lamp-9/state/msgpack")
            return await asyncio.to_thread(
                run, "--broker", url, "sweep", f"--store={short_path / 'store.db'}"
            )

    result = asyncio.run(serve())
    assert result.out == "sync/lamp-9/state/msgpack there is no such twin\n"
    assert _at(mosquitto, "sync/#") == {
        "sync/$bridge/status",
        "sync/lamp-1/state",
        "sync/lamp-1/state/msgpack",
    }


def test_the_holder_answers_for_what_it_holds(installation: Installation) -> None:
    """A store that a bridge holds is never opened beside it."""
    with administer(_config(installation)) as admin:
        assert isinstance(admin, AdminClient)
        assert not admin.is_offline
