"""`syncbridge fleet`, with a bridge that makes changes go, and without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import ExitStatus
from bridge.cli.mqtt import BrokerClient
from tests.cli.conftest import Installation, Run


@pytest.fixture
def lamps(installation: Installation, client: BrokerClient, request: pytest.FixtureRequest) -> str:
    """Three lamps of the test's own, which the bridge knows; returns what their ids begin with."""
    prefix = f"{request.node.name.replace('_', '-')}"[:60]
    client.subscribe([f"sync/{prefix}-{n}/state" for n in range(3)])
    for number in range(3):
        client.publish(f"sync/{prefix}-{number}/report", b'{"on":false}')
    seen: set[str] = set()
    while len(seen) < 3:
        message = client.receive(30)
        assert message is not None
        seen.add(message.topic)
    assert installation.store.exists()
    return prefix


@pytest.fixture
def fleet(run: Run, installation: Installation) -> Run:
    """Calls `syncbridge fleet`."""
    return lambda *arguments: run("fleet", *arguments, f"--store={installation.store}")


def start(fleet: Run, prefix: str, *more: str) -> str:
    """Begin a change; returns its id."""
    where = f"device GLOB '{prefix}-*'"
    status, out, err = fleet("start", "--where", where, *more)
    assert status == ExitStatus.OK, err
    return out.strip()


def shown(fleet: Run, change: str, *more: str) -> Any:
    """A change as JSON."""
    return json.loads(fleet("show", change, "--json", *more).out)


def test_a_change_is_started_watched_and_undone(
    fleet: Run, lamps: str, client: BrokerClient, run: Run
) -> None:
    """It halts, because nobody obeys."""
    change = start(fleet, lamps, "desired.on=true", "--converge-within", "1s", "--as", "anna")
    status, out, err = fleet("watch", change)
    assert status == ExitStatus.FAILURE
    assert " halted stage 1/3 pending 2 timed out 1" in out.splitlines()[-1]
    assert "1 of 1 devices of stage 1 failed" in err
    document = shown(fleet, change, "--failed")
    assert (document["principal"], document["patch"]) == ("anna", {"on": True})
    (failed,) = document["devices"]
    assert failed["state"] == "timed_out"
    assert failed["device"] in fleet("show", change, "--devices").out
    assert f"{change}  halted" in fleet("list").out
    assert fleet("resume", change).status == ExitStatus.OK
    assert fleet("undo", change).status == ExitStatus.OK
    status, out, _ = fleet("watch", change, "--json")
    assert status == ExitStatus.OK
    assert json.loads(out.splitlines()[-1])["status"] == "undone"


def test_a_dry_run_shows_the_stages(fleet: Run, lamps: str) -> None:
    """And keeps nothing."""
    where = f"device GLOB '{lamps}-*'"
    patch = '{"mode": "eco"}'
    out = fleet("start", "--where", where, "--patch", patch, "--stages", "34%,100", "--dry-run").out
    assert "is planned: stage 1 of 2, 3 devices: 3 pending" in out
    assert "to 34 %, 2 devices: 2 pending" in out
    assert out.split()[2] not in fleet("list").out


def test_a_change_is_paused_and_resumed(fleet: Run, lamps: str) -> None:
    """A second pause is refused, and told why."""
    change = start(fleet, lamps, "desired.on=true", "--pace", "60/m", "--converge-within", "1h")
    assert fleet("pause", change).status == ExitStatus.OK
    status, _, err = fleet("pause", change)
    assert status == ExitStatus.REFUSED
    assert "is paused: it cannot be paused" in err
    status, out, _ = fleet("watch", change)
    assert (status, " paused " in out) == (ExitStatus.OK, True)
    assert fleet("resume", change).status == ExitStatus.OK
    fleet("undo", change)
    assert fleet("watch", change).status == ExitStatus.OK


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--where", "online"], ExitStatus.USAGE),
        (["--where", "online", "desired.a=1", "--patch", "{}"], ExitStatus.USAGE),
        (["--where", "online", "reported.a=1"], ExitStatus.USAGE),
        (["--where", "online", "desired.a=1", "--pace", "fast"], ExitStatus.USAGE),
        (["--where", "online", "desired.a=1", "--halt-at", "much"], ExitStatus.USAGE),
        (["--where", "online", "desired.a=1", "--stages", "5,x"], ExitStatus.USAGE),
        (["--where", "battery < 20", "desired.a=1"], ExitStatus.USAGE),
        (["--where", "device = 'nobody'", "desired.a=1"], ExitStatus.REFUSED),
        (["--where", "online", "desired.a=1", "--stages", "5"], ExitStatus.REFUSED),
    ],
)
def test_what_cannot_be_is_refused(fleet: Run, arguments: list[str], status: ExitStatus) -> None:
    """By the command line, or by the bridge."""
    result = fleet("start", *arguments)
    assert result.status == status, result.err
    assert result.out == ""


@pytest.mark.parametrize("verb", ["show", "watch", "pause", "resume", "undo"])
def test_a_change_that_is_not_there_is_told(fleet: Run, verb: str) -> None:
    """And what cannot be an id."""
    assert fleet(verb, "00000000").status == ExitStatus.NOT_FOUND
    assert fleet(verb, "../twins").status == ExitStatus.USAGE


def test_without_a_bridge_changes_are_only_shown(run: Run, path: Path) -> None:
    """There is none here."""
    store = f"--store={path}"
    status, out, err = run("fleet", "list", store)
    assert (status, out, err) == (ExitStatus.OK, "", "there are no fleet changes\n")
    status, _, err = run("fleet", "start", "--where", "version > 0", "desired.on=true", store)
    assert status == ExitStatus.UNAVAILABLE
    assert "no bridge runs on this store" in err
    assert run("fleet", "show", "00000000", store).status == ExitStatus.NOT_FOUND
