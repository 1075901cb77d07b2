"""`syncbridge devices`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from tests.cli.conftest import Installation, Run
from tests.cli.program import WAIT_S, Program, without_escapes
from tests.support.mosquitto import Mosquitto


@pytest.fixture
def fleet(mosquitto: Mosquitto) -> Iterator[str]:
    """The URL of a broker on which three twins are retained, as a bridge would do it."""
    at = 1_795_389_192_794_000
    document = {"at": at, "reported": {"on": True}, "desired": {}}
    retained = {
        "lamp-2/state": {"version": 12, **document, "online": True},
        "lamp-2/delta": {"version": 12, "at": at, "state": {"on": False}},
        "lamp-1/state": {"version": 3, **document, "online": False},
        "lamp-1/net/state": {"version": 1, **document},
    }
    with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
        for topic, payload in retained.items():
            publish = client._paho.publish(f"sync/{topic}", json.dumps(payload), 1, retain=True)
            publish.wait_for_publish(WAIT_S)
        yield f"mqtt://{mosquitto.host}:{mosquitto.port}"


def test_twins_are_listed_in_columns(run: Run, fleet: str) -> None:
    """By device and name, in a pipe without colours."""
    status, out, err = run("--broker", fleet, "devices")
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["DEVICE", "ONLINE", "VERSION", "CHANGED", "DELTA"]
    assert [(line[0], line[1], line[2], line[-1]) for line in lines[1:]] == [
        ("lamp-1", "no", "3", "no"),
        ("lamp-1/net", "-", "1", "no"),
        ("lamp-2", "yes", "12", "yes"),
    ]
    assert len(
        {line.index(word) for line, word in zip(out.splitlines(), ("VERSION",), strict=False)}
    )
    assert "\x1b" not in out


def test_the_json_of_the_list_is_stable(run: Run, fleet: str) -> None:
    """An array, with the same members for each."""
    out = run("--broker", fleet, "devices", "--json").out
    assert json.loads(out)[1:] == [
        {
            "device": "lamp-1",
            "name": "net",
            "online": None,
            "version": 1,
            "at": 1_795_389_192_794_000,
            "delta": False,
            "sealed": False,
        },
        {
            "device": "lamp-2",
            "name": "",
            "online": True,
            "version": 12,
            "at": 1_795_389_192_794_000,
            "delta": True,
            "sealed": False,
        },
    ]


def test_an_empty_broker_has_an_empty_list(run: Run, mosquitto: Mosquitto) -> None:
    """Said to people, and an empty array for programs."""
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    assert run("--broker", url, "devices") == (0, "", "no twins below sync/ on this broker\n")
    assert run("--broker", url, "devices", "--json") == (0, "[]\n", "")


def test_a_terminal_has_colours(run: Run, fleet: str, tmp_path: Path) -> None:
    """Around the same text."""
    with Program("--broker", fleet, "devices", directory=tmp_path, terminal=True) as program:
        text = program.read_to_end()
    assert "\x1b[" in text
    assert [line.split()[0] for line in without_escapes(text).splitlines()] == [
        "DEVICE",
        "lamp-1",
        "lamp-1/net",
        "lamp-2",
    ]


def test_what_the_bridge_has_retained_is_listed(installation: Installation, call: Run) -> None:
    """With a real one: reported, desired, and a delta between them."""
    call("set", "devices-a", "reported.on=true")
    call("set", "devices-b", "desired.on=true")
    rows = {row["device"]: row for row in json.loads(call("devices", "--json").out)}
    assert (rows["devices-a"]["version"], rows["devices-a"]["delta"]) == (1, False)
    assert (rows["devices-b"]["version"], rows["devices-b"]["delta"]) == (1, True)
    call("delete", "devices-b", "--yes")
    assert "devices-b" not in call("devices").out
