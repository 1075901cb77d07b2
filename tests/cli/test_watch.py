"""`syncbridge watch`, with a real bridge, in a pipe and on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.cli.status import ExitStatus
from bridge.config import Address
from tests.cli.conftest import Installation, Run
from tests.cli.program import Program, without_escapes
from tests.support.mosquitto import Mosquitto


def _watch(
    installation: Installation, directory: Path, *arguments: str, terminal: bool = False
) -> Program:
    call = ["--broker", installation.url, "watch", *arguments]
    return Program(*call, directory=directory, terminal=terminal)


def test_what_is_there_comes_first_and_then_each_change(
    installation: Installation, call: Run, tmp_path: Path
) -> None:
    """A line each, at once, without colours."""
    call("set", "watch-a", "reported.on=false")
    with _watch(installation, tmp_path, "watch-a") as program:
        program.read_until(r"watch-a v1 reported\.on=false\n")
        call("set", "watch-a", "desired.on=true")
        program.read_until(r"watch-a v2 desired\.on=true\n")
        program.read_until(r"watch-a v2 delta on=true\n")
        call("set", "watch-a", "reported.on=true")
        program.read_until(r"watch-a v3 reported\.on=true\n")
        program.read_until(r"watch-a delta cleared\n")
        call("delete", "watch-a", "--yes")
        program.read_until(r"watch-a deleted\n")
        call("set", "watch-a", "reported.on=true")
        text = program.read_until(r"watch-a v5 reported\.on=true\n")
        program.interrupt()
        assert program.wait() == ExitStatus.OK
        assert program.errors() == ""
    assert "\x1b" not in text


def test_lines_for_programs_are_json(call: Run) -> None:
    """One object each; --count ends it."""
    call("set", "watch-json", "reported.on=false", "--name", "net")
    call("set", "watch-json", "desired.on=true", "--name", "net")
    status, out, err = call("watch", "watch-json", "--json", "--count", "2")
    assert (status, err) == (ExitStatus.OK, "")
    events = {event["event"]: event for event in map(json.loads, out.splitlines())}
    assert events["state"]["name"] == "net"
    assert events["state"]["version"] == 2
    assert events["state"]["previous_version"] is None
    assert events["state"]["reported"] == {"on": False}
    assert events["delta"]["delta"] == {"on": True}


def test_only_changes_are_shown_if_asked_for(
    installation: Installation, call: Run, tmp_path: Path
) -> None:
    """What is there at the start is what they are told against."""
    call("set", "watch-only", "desired.n=1")
    call("set", "watch-only", "desired.m=1")
    with _watch(
        installation, tmp_path, "watch-only", "watch-fence", "--changes-only", "--count", "2"
    ) as program:
        # It is not said when the watch has begun: change something until it is seen.
        number = 0
        while not program.has_written("watch-fence", wait_s=0.1):
            number += 1
            call("set", "watch-fence", "--name", f"n{number}", "desired.n=1")
        assert "watch-only" not in program.text
        assert program.wait() == ExitStatus.OK


def test_only_the_devices_and_names_asked_for_are_shown(call: Run) -> None:
    """Others are not even subscribed to."""
    for device in ("watch-b", "watch-c"):
        call("set", device, "reported.on=true")
        call("set", device, "reported.on=true", "--name", "net")
    out = call("watch", "watch-b", "--name", "net", "--for", "500ms").out
    assert [line.split()[1] for line in out.splitlines()] == ["watch-b/net"]


def test_it_ends_after_its_time(call: Run) -> None:
    """With status 0, also if nothing came."""
    assert call("watch", "watch-nobody", "--for", "10ms") == (ExitStatus.OK, "", "")


def test_a_terminal_has_colours_and_former_values(
    installation: Installation, call: Run, tmp_path: Path
) -> None:
    """And nothing that a device sends can do anything to it."""
    call("set", "watch-tty", 'reported.text="[red]\\u001b[2J"')
    with _watch(installation, tmp_path, "watch-tty", terminal=True) as program:
        program.read_until("v1")
        call("set", "watch-tty", "reported.text=plain")
        text = program.read_until("was")
        program.interrupt()
        assert program.wait() == ExitStatus.OK
    assert "\x1b[1;36mwatch-tty" in text
    assert "\x1b[2J" not in text
    first, second, *_ = without_escapes(text).splitlines()
    assert first.endswith('watch-tty v1 reported.text="[red]\\u001b[2J"')
    assert 'v2 reported.text="plain" (was "[red]\\u001b[2J"' in second


@pytest.mark.parametrize("payload", [b"hello", b"[1]", b'{"version": 1}'])
def test_what_no_bridge_has_written_is_said_and_passed_over(
    installation: Installation, call: Run, client: BrokerClient, tmp_path: Path, payload: bytes
) -> None:
    """Whoever may publish there can put anything there."""
    call("set", "watch-junk", "reported.n=0")
    with _watch(installation, tmp_path, "watch-junk") as program:
        program.read_until(r"v\d")
        client.publish("sync/watch-junk/state", payload)
        call("set", "watch-junk", f"reported.n={payload.hex()}")
        program.read_until("reported.n=.*[0-9a-f]{4}")
        assert "sync/watch-junk/state cannot be read" in program.errors()


def test_it_waits_for_a_broker_that_comes_back(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """And says so on the standard error."""
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    state = b'{"version":%d,"at":1,"reported":{},"desired":{"n":%d}}'
    with Program("--broker", url, "watch", directory=tmp_path) as program:
        _publish_until_seen(mosquitto, program, "v1 ", state % (1, 1))
        mosquitto.kill()
        mosquitto.start()
        _publish_until_seen(mosquitto, program, "v2 ", state % (2, 2))
        assert "is gone; trying again" in program.errors()
        assert "connected again" in program.errors()


def _publish_until_seen(broker: Mosquitto, program: Program, seen: str, payload: bytes) -> None:
    with BrokerClient(Address(broker.host, broker.port)) as client:
        while not program.has_written(seen, wait_s=0.1):
            client.publish("sync/watch-d/state", payload)
