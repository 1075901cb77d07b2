"""SIGHUP and the commands that reload, on a bridge that runs as a program of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.cli import ExitStatus
from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from tests.cli.conftest import Run, _wait_until_online
from tests.cli.program import Program, environment
from tests.support.mosquitto import Mosquitto

WAIT_S = 60.0

RULES = "principals: [anna]\nrules:\n  anna:\n    '*':\n      desired.**: read write\n"
BROKEN = RULES.replace("  anna:", "  nobody:")

IN_A_TERMINAL = """
import fcntl, signal, sys, termios
from bridge.cli import main
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may run under nohup
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main())
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with permissions, whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        (Path(directory) / "permissions.yaml").write_text(RULES)
        (Path(directory) / "lamp.json").write_text("{}")
        (Path(directory) / "bridge.yaml").write_text(
            "permissions:\n  file: permissions.yaml\nschemas:\n  lamp-*:\n    desired: lamp.json\n"
        )
        yield Path(directory)


def arguments(broker: Mosquitto) -> tuple[str, ...]:
    """What starts the bridge."""
    return ("run", "--broker", f"mqtt://{broker.host}:{broker.port}", "--store", "store.db")


def trail(run: Run, acts: str = "permissions.") -> list[tuple[str, str]]:
    """What was loaded how, and what came of it, the oldest first."""
    out = run("audit", "--act", acts, "--json", "--store", "store.db").out
    return [(row["via"], row["outcome"]) for row in map(json.loads, out.splitlines())][::-1]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_the_command_and_sighup_reload(
    mosquitto: Mosquitto, directory: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A good file takes effect, a broken one is told and changes nothing; the bridge goes on."""
    monkeypatch.chdir(directory)
    file = directory / "permissions.yaml"
    with Program(*arguments(mosquitto), directory=directory) as bridge:
        _wait_until_online(mosquitto)
        file.write_text("principals: [anna]\n")
        status, out, err = run("permissions", "reload", "--store", "store.db")
        assert (status, err) == (ExitStatus.OK, "")
        assert out == "permissions.yaml: rules: 0; default: deny; in force\n"
        broker = arguments(mosquitto)[1:3]
        refused = run(*broker, "set", "lamp-1", "desired.on=true", "--as", "anna")
        assert refused.status == ExitStatus.REFUSED
        file.write_text(BROKEN)
        status, out, err = run("permissions", "reload", "--store", "store.db")
        assert (status, out) == (ExitStatus.FAILURE, "")
        assert "permissions.yaml:5 are not allowed" in err
        assert "'nobody' is neither a principal nor a group" in err
        assert "what was in force before stays so" in err
        assert "nobody" in bridge.errors()
        bridge.send(signal.SIGHUP)
        until(lambda: trail(run)[-1:] == [("signal", "failed")], "SIGHUP is written down")
        file.write_text(RULES)
        bridge.send(signal.SIGHUP)
        until(lambda: trail(run)[-1:] == [("signal", "done")], "SIGHUP takes effect")
        allowed = run(*broker, "set", "lamp-1", "desired.on=true", "--as", "anna")
        assert allowed.status == ExitStatus.OK, allowed.err
        unchanged = run("permissions", "reload", "--store", "store.db", "--json").out
        assert json.loads(unchanged)["changed"] is False
        schema = directory / "lamp.json"
        schema.write_text("{")
        status, out, err = run("schemas", "reload", "--store", "store.db")
        assert (status, out) == (ExitStatus.FAILURE, "")
        assert "lamp.json is not allowed: at line 1, column 2" in err
        assert "what was in force before stays so" in err
        schema.write_text('{"properties":{"dim":{"const":false}}}')
        out = run("schemas", "reload", "--store", "store.db").out
        assert out == "entries: 1; files: 1; in force\n"
        refused = run(*broker, "set", "lamp-1", "desired.dim=true", "--as", "anna")
        assert "desired.dim would not fit its schema" in refused.err
        schema.write_text("{}")
        bridge.send(signal.SIGHUP)
        until(lambda: trail(run, "schemas.")[-1:] == [("signal", "done")], "schemas are read")
        allowed = run(*broker, "set", "lamp-1", "desired.dim=true", "--as", "anna")
        assert allowed.status == ExitStatus.OK, allowed.err
        bridge.interrupt()
        assert bridge.wait() == ExitStatus.OK, bridge.errors()


@pytest.mark.parametrize("what", ["permissions", "schemas"])
def test_without_a_bridge_nothing_is_reloaded(run: Run, path: Path, what: str) -> None:
    """It reads them when it starts."""
    status, out, err = run(what, "reload", f"--store={path}")
    assert (status, out) == (ExitStatus.FAILURE, "")
    assert "no bridge runs on this store" in err


def test_a_terminal_that_is_closed_ends_the_bridge(mosquitto: Mosquitto, directory: Path) -> None:
    """That is a SIGHUP as well, but nobody is left there who could end it."""
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *arguments(mosquitto)],
        cwd=directory,
        env=environment(),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    _wait_until_online(mosquitto)
    with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
        client.subscribe(["sync/$bridge/status"])
        os.close(terminal)
        deadline = time.monotonic() + WAIT_S
        while (message := client.receive(WAIT_S)) is not None:
            if json.loads(message.payload)["online"] is False:
                break
            assert time.monotonic() < deadline
    assert process.wait(WAIT_S) == ExitStatus.OK
