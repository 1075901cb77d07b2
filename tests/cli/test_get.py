"""`syncbridge get`, with a real bridge."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.cli.status import ExitStatus
from tests.cli.conftest import Installation, Run
from tests.cli.program import Program, without_escapes


@pytest.fixture
def lamp(call: Run) -> str:
    """A device with something in both sections."""
    patch = '{"on": true, "color": {"r": 255}, "list": ["a", "b"], "0.1": 0.0, "label": "a\\nb"}'
    assert call("set", "get-lamp", "--section", "reported", "--full", "--patch", patch).status == 0
    assert call("set", "get-lamp", "--full", "--patch", '{"on": false}').status == 0
    return "get-lamp"


def test_the_whole_twin_is_printed(call: Run, lamp: str) -> None:
    """The same members always, for programs in one line and for people indented."""
    status, out, err = call("get", lamp, "--json")
    assert (status, err) == (ExitStatus.OK, "")
    assert out.count("\n") == 1
    document = json.loads(out)
    assert list(document) == [
        "device", "name", "version", "at", "reported", "desired", "online", "last_seen",
    ]  # fmt: skip
    assert (document["device"], document["name"], document["online"]) == (lamp, "", None)
    assert abs(document["last_seen"] / 1e6 - time.time()) < 3600
    assert document["reported"]["color"] == {"r": 255}
    assert document["desired"] == {"on": False}
    assert abs(document["at"] / 1e6 - time.time()) < 3600
    people = call("get", lamp).out
    assert json.loads(people) == document
    assert people.count("\n") > 10
    assert "\x1b" not in people


@pytest.mark.parametrize(
    ("path", "printed"),
    [
        ("reported.color.r", "255\n"),
        ("reported.on", "true\n"),
        ('reported."0.1"', "0.0\n"),
        ("reported.list.1", "b\n"),
        ("reported.label", "a\nb\n"),
        ("reported.color", '{\n  "r": 255\n}\n'),
        ("device", "get-lamp\n"),
        ("online", "null\n"),
    ],
)
def test_a_path_leads_to_one_value(call: Run, lamp: str, path: str, printed: str) -> None:
    """A text as it is, everything else as JSON."""
    assert call("get", lamp, path) == (ExitStatus.OK, printed, "")


def test_a_value_is_json_for_programs(call: Run, lamp: str) -> None:
    """Texts too."""
    assert call("get", lamp, "reported.label", "--json").out == '"a\\nb"\n'
    assert call("get", lamp, "reported.color", "--json").out == '{"r":255}\n'


def test_a_missing_value_is_status_5(call: Run, lamp: str) -> None:
    """And says where the path ends."""
    status, out, err = call("get", lamp, "reported.color.x.y")
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert "reported.color.x\n" in err


def test_a_missing_twin_is_status_5(call: Run) -> None:
    """It is not made by asking for it."""
    for _ in range(2):
        status, out, err = call("get", "get-nobody")
        assert (status, out) == (ExitStatus.NOT_FOUND, "")
        assert "twin 'get-nobody' does not exist: a report or a desire creates it\n" in err
        assert "hint: is it spelled like that? `syncbridge devices` lists those that" in err


def test_a_malformed_path_is_status_2(call: Run, lamp: str) -> None:
    """Before anything is asked."""
    status, _, err = call("get", lamp, "reported..on")
    assert status == ExitStatus.USAGE
    assert "empty key" in err


def test_a_named_twin_is_another(call: Run, lamp: str) -> None:
    """It has versions of its own."""
    assert call("set", lamp, "--name", "net", "desired.ssid=home").status == 0
    document = json.loads(call("get", lamp, "--name", "net", "--json").out)
    assert (document["name"], document["desired"]) == ("net", {"ssid": "home"})
    assert "ssid" not in call("get", lamp).out


def test_what_has_changed_since_a_version_is_printed(call: Run, lamp: str) -> None:
    """As merge patches; nothing, where nothing has; the whole, where that is not known."""
    version = json.loads(call("get", lamp, "--json").out)["version"]
    document = json.loads(call("get", lamp, "--since", str(version), "--json").out)
    assert (document["since"], document["version"]) == (version, version)
    assert (document["reported"], document["desired"]) == ({}, {})
    assert call("set", lamp, "desired.on=null", "desired.level=2").status == 0
    document = json.loads(call("get", lamp, "--since", str(version), "--json").out)
    assert (document["since"], document["version"]) == (version, version + 1)
    assert (document["reported"], document["desired"]) == ({}, {"on": None, "level": 2})
    assert call("get", lamp, "desired.on", "--since", str(version)).out == "null\n"
    document = json.loads(call("get", lamp, "--since", str(version + 9), "--json").out)
    assert document["since"] is None
    assert document["reported"]["color"] == {"r": 255}


def test_what_is_known_of_each_field_is_printed(call: Run, lamp: str) -> None:
    """Beside the sections; each field has its own."""
    document = json.loads(call("get", lamp, "--meta", "--json").out)
    on = document["meta"]["reported"]["on"]
    assert (on["$changed_by"], document["reported"]["on"]) == (lamp, True)
    assert call("get", lamp, 'meta.reported.on."$changed_by"', "--meta").out == f"{lamp}\n"
    assert "meta" not in json.loads(call("get", lamp, "--json").out)


def test_presence_is_shown(call: Run, client: BrokerClient, lamp: str) -> None:
    """As true or false, once the device has said it."""
    client.subscribe([f"sync/{lamp}/state"])
    client.publish(f"sync/{lamp}/presence", b"online")
    while True:
        message = client.receive(30)
        assert message is not None
        if b'"online":true' in message.payload:
            break
    assert call("get", lamp, "online").out == "true\n"


def test_a_terminal_has_colours_and_no_surprises(
    installation: Installation, call: Run, tmp_path: Path
) -> None:
    """What a device sends is escaped, not obeyed."""
    patch = '{"on": true, "evil": "[bold]\\u001b[2Jx"}'
    assert call("set", "get-evil", "--patch", patch).status == 0
    arguments = ["--broker", installation.url, "get", "get-evil"]
    with Program(*arguments, directory=tmp_path, terminal=True) as program:
        text = program.read_to_end()
        assert program.wait() == ExitStatus.OK
    assert "\x1b[" in text
    assert "\x1b[2J" not in text
    assert json.loads(without_escapes(text))["desired"] == {"on": True, "evil": "[bold]\x1b[2Jx"}
    with Program(*arguments, "desired.evil", directory=tmp_path, terminal=True) as program:
        assert program.read_to_end() == "[bold]\\u001b[2Jx\r\n"


def test_no_broker_is_status_3(run: Run) -> None:
    """With the commands that lead to one."""
    status, out, err = run("--broker", "mqtt://127.0.0.1:1", "get", "lamp-1")
    assert (status, out) == (ExitStatus.UNAVAILABLE, "")
    assert "127.0.0.1:1" in err
    assert "syncbridge run" in err
