"""`syncbridge doctor`: what it prints, and its exit status."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from tests.cli.conftest import Run
from tests.cli.program import WAIT_S, Program, without_escapes
from tests.docs.documented import PASSWORD, DocumentedMosquitto
from tests.doctor.prompt import expect_mosquitto
from tests.support.mosquitto import Mosquitto, free_port

_FEW = ("--messages", "100", "--for", "5m")


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    expect_mosquitto(monkeypatch)


def _url(broker: Mosquitto) -> str:
    return f"mqtt://{broker.host}:{broker.port}"


def test_findings_are_printed_with_what_to_change(run: Run, mosquitto: Mosquitto) -> None:
    """A line each, in a pipe without colours; status 1, as everybody may forge everything."""
    status, out, err = run("--broker", _url(mosquitto), "doctor", *_FEW)
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "ok       version: speaks MQTT 5"
    (at,) = [number for number, line in enumerate(lines) if "anonymous:" in line]
    assert lines[at].startswith("critical anonymous: lets anybody in without a name")
    assert "Mosquitto: allow_anonymous false" in lines[at + 1]
    assert "EMQX: " in lines[at + 2]
    assert lines[-1].startswith(f"{mosquitto.host}:{mosquitto.port}: ")
    assert lines[-1].endswith("1 critical")
    assert "\x1b" not in out


def test_the_json_is_stable(run: Run, mosquitto: Mosquitto) -> None:
    """One document, with the same members for each finding, and nothing else."""
    status, out, err = run("--broker", _url(mosquitto), "doctor", *_FEW, "--json")
    assert (status, err) == (1, "")
    document = json.loads(out)
    assert list(document) == ["broker", "at", "critical", "findings"]
    assert document["critical"] is True
    members = ["check", "severity", "message", "measured", "mosquitto", "emqx"]
    assert all(list(finding) == members for finding in document["findings"])
    by_check = {finding["check"]: finding for finding in document["findings"]}
    assert by_check["queue"]["measured"] == {"acknowledged": 100, "kept": 100}


def test_it_is_content_with_the_documented_broker(run: Run, tmp_path: Path) -> None:
    """Status 0, with the documented logins; the result is retained where that is asked for."""
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD + "\n")
    with DocumentedMosquitto(tmp_path / "mosquitto") as broker:
        login = ("--username", "doctor", "--password-file", str(password))
        device = ("--device", "lamp-1", "--device-password-file", str(password))
        call = ("--broker", _url(broker), *login, "doctor", *_FEW, *device, "--json", "--publish")
        status, out, err = run(*call)
        assert status == 0, out
        assert err == "retained on sync/$bridge/doctor\n"
        address = Address(broker.host, broker.port)
        with BrokerClient(address, username="doctor", password=PASSWORD) as client:
            client.subscribe(["sync/$bridge/doctor"])
            message = client.receive(WAIT_S)
            assert message is not None
            assert message.retain
            assert json.loads(message.payload) == json.loads(out)


def test_the_session_of_another_is_not_touched_by_publishing_either(
    run: Run, tmp_path: Path
) -> None:
    """What was found cannot be retained then: it would take that session."""
    with DocumentedMosquitto(tmp_path / "mosquitto") as broker:
        password = tmp_path / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        call = ("--broker", _url(broker), "--password-file", str(password), "--username", "doctor")
        client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=False, client_id="x")
        client.username_pw_set("doctor", PASSWORD)
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_connect = lambda *_: client.subscribe("sync/$bridge/doctor/x", 1)
        client.connect(broker.host, broker.port)
        client.loop_start()
        assert subscribed.wait(WAIT_S)
        client.disconnect()
        client.loop_stop()
        status, out, err = run(*call, "doctor", *_FEW, "--publish")
    assert status == 1
    assert "session_of_another" in out
    assert "nothing is retained" in err


@pytest.mark.parametrize(
    "wrong",
    [
        ["--messages", "5"],
        ["--for", "2d"],
        ["--device-password-file", "p"],
        ["--device", "lamp-1", "--device-password-file", "not-there"],
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, wrong: list[str]) -> None:
    """Before anything is tried."""
    status, out, err = run("doctor", *wrong)
    assert (status, out) == (2, "")
    assert wrong[-2] in err


def test_a_password_of_a_device_that_everybody_may_read_is_refused(
    run: Run, tmp_path: Path
) -> None:
    """With what to do, before anything is tried."""
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    device = ("--device", "lamp-1", "--device-password-file", str(password))
    status, out, err = run("--broker", f"mqtt://127.0.0.1:{free_port()}", "doctor", *device)
    assert (status, out) == (2, "")
    assert "--device-password-file" in err
    assert "0644" in err
    assert "chmod 640" in err


def test_without_a_broker_it_is_unavailable(run: Run) -> None:
    """Status 3, as for every command."""
    status, out, err = run("--broker", f"mqtt://127.0.0.1:{free_port()}", "doctor")
    assert (status, out) == (3, "")
    assert "hint" in err


def test_a_terminal_has_colours(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Around the same text."""
    arguments = ("--broker", _url(mosquitto), "doctor", *_FEW)
    with Program(*arguments, directory=tmp_path, terminal=True) as program:
        text = program.read_to_end()
    assert "\x1b[" in text
    assert "ok       version: speaks MQTT 5\n" in without_escapes(text)
