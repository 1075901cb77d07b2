"""The checker beside a real bridge and a real fleet, as a team would use it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device_sim import Broker, Fleet, FleetOptions
from device_sim.checker import check as check_module
from device_sim.checker import verdict as verdicts
from device_sim.checker import watcher
from device_sim.checker.check import CheckOptions, check
from device_sim.checker.ledger import line
from device_sim.checker.verdict import Verdict
from device_sim.cli import main
from device_sim.exits import ExitStatus
from tests.device_sim.waiting import PATIENCE_S
from tests.support.bridge import connected_client, make_config, running_bridge
from tests.support.mosquitto import Mosquitto

_ROOT = Path(__file__).parents[3]


async def test_a_fleet_and_a_bridge_that_keep_their_promises(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Everything that passes by is checked against the bridge's store, while the bridge runs."""
    broker = Broker(port=mosquitto.port)
    options = FleetOptions(
        broker=broker, devices=10, rate_hz=5.0, desired_rate_hz=10.0, duration_s=2.0, seed=7,
        converge_s=PATIENCE_S, find_s=PATIENCE_S,
    )  # fmt: skip
    checked = CheckOptions(
        broker=broker, duration_s=600.0, converge_s=PATIENCE_S, store=tmp_path / "store.db"
    )
    stopping = asyncio.Event()
    async with running_bridge(make_config(mosquitto, tmp_path)):
        checking = asyncio.create_task(check(checked, stopping))
        summary = await Fleet(options).run()
        stopping.set()
        verdict = await checking
    assert summary.ok, summary
    assert verdict.violations == []
    assert verdict.figures["updates acknowledged"] > 50
    assert verdict.figures["twins"] == 10
    assert verdict.figures["deltas seen"] > 0


async def test_what_asks_for_no_answer_is_waited_for(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge that is slow has not lost what the broker has accepted for it."""
    judged = asyncio.Event()
    found: list[bool] = []

    def judge(*arguments: Any, **options: Any) -> Verdict:
        verdict = verdicts.judge(*arguments, **options)
        found.append(verdict.ok)
        judged.set()
        return verdict

    monkeypatch.setattr(check_module, "judge", judge)
    monkeypatch.setattr(watcher, "QUIET_S", 0.1)
    ledger = tmp_path / "ledger"
    events = [line(event, "sync/lamp-1/report", b'{"on":false}') for event in ("sent", "accepted")]
    ledger.write_bytes(b"".join(events))
    checked = CheckOptions(
        broker=Broker(port=mosquitto.port), duration_s=0.1, converge_s=PATIENCE_S,
        store=tmp_path / "store.db", ledgers=(ledger,), is_broker_kept=True,
    )  # fmt: skip
    async with (
        running_bridge(make_config(mosquitto, tmp_path)) as bridge,
        connected_client(mosquitto, "sync/lamp-1/state") as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True})
        await client.until_version("sync/lamp-1/state", 1)
        async with bridge._pipeline._at_work:
            await client.publish("sync/lamp-1/report", {"on": False})
            checking = asyncio.create_task(check(checked, asyncio.Event()))
            async with asyncio.timeout(PATIENCE_S):
                await judged.wait()
        verdict = await checking
    assert verdict.violations == []
    assert (found[0], found[-1]) == (False, True)


async def test_somebody_who_sets_a_retained_state_back_is_found(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """By the program, which ends with status 1, and names twin and versions."""
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    async with (
        running_bridge(make_config(mosquitto, tmp_path)),
        connected_client(mosquitto, "sync/lamp-1/state") as client,
    ):
        await client.publish("sync/lamp-1/report", {"on": True})
        first = await client.next("sync/lamp-1/state")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "device_sim", "check", "--for", "10m", "--json",
            "--converge", "100ms", "--broker", address, "--store", str(tmp_path / "store.db"),
            cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        assert (await process.stderr.readline()).startswith(b"watching mqtt://")
        version = 1
        for level in range(3):
            await client.publish("sync/lamp-1/report", {"level": level})
            version = (await client.next("sync/lamp-1/state"))["version"]
        await client.publish("sync/lamp-1/state", first, retain=True)
        assert (await client.next("sync/lamp-1/state"))["version"] == 1
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == ExitStatus.DIFFERENT
    document = json.loads(output)
    assert not document["ok"]
    found = {violation["invariant"] for violation in document["violations"]}
    assert found == {"state-never-goes-back", "retained-is-stored"}
    back = next(v for v in document["violations"] if v["invariant"] == "state-never-goes-back")
    assert back["twin"] == "lamp-1"
    assert back["detail"] == f"version 1 came after version {version}"


def test_two_sources_for_one_store_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is tried."""
    file = tmp_path / "file"
    file.touch()
    assert main(["check", "--store", str(file), "--export", str(file)]) == ExitStatus.USAGE
    assert "give one" in capsys.readouterr().err


def test_without_a_broker_nothing_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is said to be well."""
    arguments = ["check", "--for", "100ms", "--converge", "100ms", "--broker", "127.0.0.1:1"]
    assert main(arguments) == ExitStatus.UNAVAILABLE
    assert "no broker at" in capsys.readouterr().err
