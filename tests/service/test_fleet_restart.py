"""A fleet change in a bridge that is killed: it goes on, and nobody is written twice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.api import AdminClient
from bridge.core.topics import TwinKey
from bridge.errors import AdminError, AdminUnreachable
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.held import CONFIG
from tests.api.orders import report
from tests.cli.program import environment
from tests.support.mosquitto import Mosquitto

DEVICES = 60
PATIENCE_S = 60.0
"""Far longer than anything takes, also on a machine that is busy with something else."""

KEYS = [TwinKey(f"lamp-{number}") for number in range(DEVICES)]


@pytest.fixture
def store() -> Iterator[Path]:
    """A store with lamps that are silent, in a directory whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        path = Path(directory) / "store.db"
        with opened(path) as store:
            for key in KEYS:
                apply_offline(store, CONFIG, key, report({"mode": "day"}), now_us)
        yield path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    """The store, which no bridge holds."""
    with contextlib.closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        yield store


@contextlib.contextmanager
def bridge(broker: Mosquitto, path: Path) -> Iterator[tuple[subprocess.Popen[bytes], AdminClient]]:
    """A bridge in a process of its own, killed at the end of the block."""
    url = f"mqtt://{broker.host}:{broker.port}"
    with (path.parent / "bridge.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "run", "--broker", url, f"--store={path}"],
            cwd=path.parent,
            env=dict(environment()),
            stderr=log,
        )
    try:
        with client_of(path) as client:
            yield process, client
    finally:
        process.kill()
        process.wait(PATIENCE_S)


def client_of(path: Path) -> AdminClient:
    """A client of the bridge, once it answers."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return AdminClient(path)
        except AdminUnreachable:
            assert time.monotonic() < deadline, (path.parent / "bridge.log").read_text()
            time.sleep(0.05)


def until(client: AdminClient, change: str, state: str, count: int) -> Any:
    """Wait until so many devices are in a state."""
    deadline = time.monotonic() + PATIENCE_S
    shown: Any = client.fleet_change(change)
    while shown["states"].get(state, 0) < count:
        assert time.monotonic() < deadline, shown
        shown = client.fleet_change(change, after=shown["revision"])
    return shown


def desired_writes(path: Path) -> list[list[Any]]:
    """Return what was written to `desired` of each device, the oldest first."""
    with opened(path) as store:
        rows = [store.history(key, None, 100) for key in KEYS]
    return [
        [orjson.loads(row.patch) for row in reversed(found) if row.section == "desired"]
        for found in rows
    ]


def test_a_change_goes_on_after_a_kill_and_writes_to_nobody_twice(
    mosquitto: Mosquitto, store: Path
) -> None:
    """Killed again and again in the middle of a stage, and in the middle of its undoing."""
    order = {
        "where": "device GLOB 'lamp-*'",
        "patch": {"mode": "night"},
        "pace_per_s": 15,
        "converge_within_s": 3600,
        "writer": "anna",
    }
    with bridge(mosquitto, store) as (process, client):
        change = str(client.start_fleet_change(order)["id"])
        until(client, change, "in_flight", 10)
        os.kill(process.pid, signal.SIGKILL)
    written = sum(map(len, desired_writes(store)))
    assert 10 <= written < DEVICES, "it was killed in the middle"

    with bridge(mosquitto, store) as (process, client):
        until(client, change, "in_flight", min(written + 10, DEVICES))
        os.kill(process.pid, signal.SIGKILL)
    with bridge(mosquitto, store) as (process, client):
        until(client, change, "in_flight", DEVICES)
        client.command_fleet_change(change, "undo")
        until(client, change, "undone", 10)
        os.kill(process.pid, signal.SIGKILL)
    assert all(writes[:1] == [{"mode": "night"}] for writes in desired_writes(store))

    with bridge(mosquitto, store) as (_, client):
        shown = until(client, change, "undone", DEVICES)
        assert shown["states"] == {"undone": DEVICES}
        with pytest.raises(AdminError):
            client.command_fleet_change("00000000", "undo")
    assert desired_writes(store) == [[{"mode": "night"}, {"mode": None}]] * DEVICES
