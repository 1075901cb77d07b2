"""The commands in the document on fleet changes do what it says; its tables are the program's."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from bridge.api import AdminClient
from bridge.api.fleet_changes import STATES
from bridge.core.fleet_change import Status
from bridge.core.fleet_plan import (
    BURST_S,
    CONVERGE_WITHIN_MAX_S,
    FAILED,
    PACE_MAX_PER_S,
    STAGES_MAX,
    TARGETS_MAX,
    WRITES_TOGETHER,
    FleetPlan,
    TargetState,
)
from bridge.errors import AdminError
from bridge.service.fleet_changes import CHANGES_AT_WORK
from bridge.service.fleet_making import PLANNED
from bridge.store.fleet_changes import CHANGES_KEPT
from tests.cli.program import Program, environment
from tests.docs.markdown import ROOT, Document, plain
from tests.http.served import http_config, serving
from tests.support.mosquitto import Mosquitto

FLEET_CHANGES = Document("fleet-changes.md")

PATIENCE_S = 120.0
"""Far longer than any of it takes, also on a machine that is busy with something else."""


@contextmanager
def simulated_fleet(broker: Mosquitto, directory: Path) -> Iterator[None]:
    """The document's fleet, in a process of its own."""
    (block,) = FLEET_CHANGES.blocks("sh fleet")
    program, *arguments = shlex.split(block.text)
    assert program == "device-sim"
    address = f"mqtt://127.0.0.1:{broker.port}"
    with (directory / "fleet.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "device_sim", *arguments, "--broker", address, "--wait", "60s"],
            cwd=directory,
            env=dict(environment()),
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


def sh(script: str, directory: Path) -> str:
    """What a script prints, with the programs of this very tree."""
    for name, module in (("syncbridge", "bridge"), ("device-sim", "device_sim")):
        file = directory / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
        file.chmod(0o755)
    variables = {
        **environment(),
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "SYNCBRIDGE_STORE_PATH": str(directory / "store.db"),
    }
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=directory,
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


@pytest.mark.timeout(300)  # it waits for 30 s by itself, and starts a dozen programs
def test_a_change_of_a_fleet_with_broken_devices_halts_by_itself_and_is_undone(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The commands as they stand there, on processes of their own: bridge, fleet and broker."""
    dry, start, show, undo = (block.text for block in FLEET_CHANGES.blocks("sh"))
    (shown,) = FLEET_CHANGES.blocks("text")
    address = f"mqtt://127.0.0.1:{mosquitto.port}"
    store = f"--store={tmp_path / 'store.db'}"
    with (
        Program("run", "--broker", address, store, directory=tmp_path),
        simulated_fleet(mosquitto, tmp_path),
    ):
        wait_for_fleet(tmp_path / "store.db", 60)
        pattern = re.escape(shown.text).replace("…", "[^\n]+")
        assert re.fullmatch(pattern, sh(dry, tmp_path).strip())

        printed = sh(start, tmp_path)
        assert printed.splitlines()[-1] == "it has halted"
        assert " halted stage " in printed
        listed = sh(show, tmp_path)
        with AdminClient(tmp_path / "store.db") as client:
            written = found(client, "desired.tariff = 'night'")
            shown_states: Any = client.fleet_change((tmp_path / "change").read_text().strip())
        broken = set(re.findall(r"^(energy-meter-\d+) +timed out", listed, re.MULTILINE))
        # By the seed: 5 % of 60. No other device has failed, and no stage was begun behind theirs.
        assert broken
        assert broken <= {"energy-meter-0007", "energy-meter-0039", "energy-meter-0057"}
        pending = shown_states["states"].get("pending", 0)
        assert written == 60 - pending, "the rest of the fleet is left alone"

        printed = sh(undo, tmp_path)
        assert " undone stage " in printed
        assert "energy-meter" not in printed, "the query finds no twin any more"


def test_the_request_over_http_is_answered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With what would be done."""
    (block,) = FLEET_CHANGES.blocks("sh http")
    with serving(http_config(mosquitto, tmp_path)) as served:
        put = served.ask("PUT", "/v1/twins/lamp-1/reported", json={"on": True})
        assert put.status_code == 200
        answer = json.loads(sh(block.text.replace(":8080", f":{served.port}"), tmp_path))
    assert (answer["status"], answer["targets"]) == ("planned", 1)
    assert [stage["percent"] for stage in answer["stages"]] == [10, 100]


def found(client: AdminClient, where: str) -> int:
    """How many twins a query finds."""
    answer: Any = client.query(where, limit=200)
    return len(answer["twins"])


def wait_for_fleet(store: Path, count: int) -> None:
    """Wait until so many devices are online."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        # While the bridge is still starting nobody answers.
        with contextlib.suppress(AdminError), AdminClient(store) as client:
            if found(client, "online") >= count:
                return
        time.sleep(0.1)
    raise AssertionError("the fleet did not come online")


def test_every_state_and_every_status_stands_in_its_table() -> None:
    """With what counts as failed."""
    states = FLEET_CHANGES.table("state | meaning | counts as failed")
    assert [plain(row[0]) for row in states] == [*get_args(TargetState)] == [*STATES]
    assert {plain(row[0]) for row in states if row[2] == "yes"} == FAILED
    statuses = FLEET_CHANGES.table("status | meaning")
    assert [plain(row[0]) for row in statuses] == [PLANNED, *get_args(Status)]


def test_every_refusal_stands_in_its_table() -> None:
    """Those that only fleet changes have, with their status."""
    pattern = re.compile(r'\brefused\(\s*(\d+),\s*"(\w+)"')
    sources = [path.read_text("utf-8") for path in (ROOT / "bridge").rglob("*fleet*.py")]
    in_code = {(name, code) for text in sources for code, name in pattern.findall(text)}
    rows = FLEET_CHANGES.table("`error` of a refusal | status | why")
    assert {(plain(row[0]), row[1]) for row in rows} == in_code


def test_figures_are_the_programs() -> None:
    """Defaults and limits."""
    rows = FLEET_CHANGES.table("option | member over HTTP | meaning | default")
    assert [plain(row[1]) for row in rows] == [*FleetPlan._fields]
    plan = FleetPlan()
    assert [row[3] for row in rows[1:]] == [
        f"{plan.pace_per_s:g}",
        f"{plan.converge_within_s:g} s",
        f"{plan.halt_at_percent:g} %",
        f"{plan.halt_minimum}",
    ]
    assert f"in {BURST_S:g} s may be written together" in rows[1][2]
    limits = dict(FLEET_CHANGES.table("what | limit"))
    assert limits["devices of a change"] == f"{TARGETS_MAX:,}"
    assert limits["stages"] == f"{STAGES_MAX}"
    assert limits["pace"] == (
        f"0.001 to {PACE_MAX_PER_S:,.0f} devices a second, at most {WRITES_TOGETHER} in one "
        "transaction"
    )
    assert limits["time to converge"] == f"0.1 s to {CONVERGE_WITHIN_MAX_S / 86_400:g} days"
    assert limits["changes at work"] == f"{CHANGES_AT_WORK}"
    assert limits["changes that are kept"].startswith(f"{CHANGES_KEPT};")


def test_the_readme_leads_here() -> None:
    """Else nobody finds it."""
    assert "docs/fleet-changes.md" in (ROOT / "README.md").read_text("utf-8")
