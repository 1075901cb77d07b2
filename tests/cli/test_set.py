"""`syncbridge set`, with a real bridge."""

from __future__ import annotations

import io
import json
import sys

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.cli.status import ExitStatus
from tests.cli.conftest import Run
from tests.cli.program import WAIT_S


def _twin(call: Run, device: str) -> dict[str, object]:
    twin = json.loads(call("get", device, "--json").out)
    assert isinstance(twin, dict)
    return twin


def test_values_are_set_and_the_version_printed(call: Run) -> None:
    """After the bridge has them on disk."""
    done = call("set", "set-lamp", "desired.on=true", "desired.color.r=255", "desired.scene=night")
    assert done == (ExitStatus.OK, "set-lamp version 1\n", "")
    assert _twin(call, "set-lamp")["desired"] == {"on": True, "color": {"r": 255}, "scene": "night"}
    assert call("set", "set-lamp", "desired.color.r=null").out == "set-lamp version 2\n"
    assert _twin(call, "set-lamp")["desired"] == {"on": True, "scene": "night"}


def test_the_same_again_is_said_to_be_unchanged(call: Run) -> None:
    """There is no version of it."""
    call("set", "set-same", "desired.on=true")
    assert call("set", "set-same", "desired.on=true").out == "set-same version 1 (unchanged)\n"


def test_the_json_of_a_change_is_stable(call: Run) -> None:
    """Documented in the manual."""
    out = call("set", "set-json", "--name", "net", "desired.on=true", "--json").out
    assert out == (
        '{"device":"set-json","name":"net","version":1,"changed":true,"superseded":false}\n'
    )


def test_a_patch_and_full_are_what_the_protocol_knows(
    call: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line or from the standard input."""
    assert call("set", "set-patch", "--patch", '{"a": 1, "b": {"c": 2}}').status == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"b": {"d": 3}}'))
    assert call("set", "set-patch", "--full", "--patch", "-").status == 0
    assert _twin(call, "set-patch")["desired"] == {"b": {"d": 3}}


def test_a_version_that_has_passed_is_status_4(call: Run) -> None:
    """And nothing has changed."""
    call("set", "set-if", "desired.n=1")
    call("set", "set-if", "desired.n=2")
    status, out, err = call("set", "set-if", "--if", "1", "desired.n=3")
    assert (status, out) == (ExitStatus.REFUSED, "")
    assert "409 version_mismatch" in err
    assert call("get", "set-if", "desired.n").out == "2\n"
    assert call("set", "set-if", "--if", "2", "desired.n=3").status == ExitStatus.OK


def test_a_report_is_published_as_the_device_would(call: Run, client: BrokerClient) -> None:
    """On its own topic, answered to its own name."""
    client.subscribe(["sync/set-report/#"])
    assert call("set", "set-report", "reported.on=true").out == "set-report version 1\n"
    seen: set[str] = set()
    while not {"sync/set-report/report", "sync/set-report/reply/set-report"} <= seen:
        message = client.receive(WAIT_S)
        assert message is not None
        seen.add(message.topic)
    assert _twin(call, "set-report")["reported"] == {"on": True}


def test_the_writer_is_named(call: Run, client: BrokerClient) -> None:
    """In the topic, where the broker can check it."""
    client.subscribe(["sync/set-as/desire/+"])
    assert call("set", "set-as", "desired.on=true", "--as", "wall-panel").status == 0
    message = client.receive(WAIT_S)
    assert message is not None
    assert message.topic == "sync/set-as/desire/wall-panel"


def test_without_waiting_nothing_is_printed(call: Run) -> None:
    """The change comes all the same."""
    assert call("set", "set-later", "desired.on=true", "--no-wait") == (ExitStatus.OK, "", "")
    # Messages of one topic are handled in their order.
    assert call("set", "set-later", "desired.off=true").out == "set-later version 2\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["desired.on"], "PATH=VALUE"),
        ([], "either PATH=VALUE"),
        (["desired.on=1", "--patch", "{}"], "either PATH=VALUE"),
        (["--patch", "[]"], "not a JSON object"),
        (["--patch", "{}", "--section", "both"], "both"),
        (["desired.on=1", "--as", "a/b"], "--as"),
        (["desired.on=1", "--json", "--no-wait"], "--no-wait"),
        (["desired.n=123456789012345678901234567890"], "64-bit"),
        (["desired.on=1", "--if", "-1"], "--if"),
    ],
)
def test_what_cannot_be_meant_is_status_2(run: Run, arguments: list[str], why: str) -> None:
    """Nothing is sent; most of it is found before there is a connection."""
    status, out, err = run("--broker", "mqtt://127.0.0.1:1", "set", "lamp-1", *arguments)
    if "64-bit" in why:
        # Found when it is encoded, which comes after connecting.
        assert status == ExitStatus.UNAVAILABLE
        return
    assert (status, out) == (ExitStatus.USAGE, "")
    assert why in err


def test_a_number_beyond_64_bits_is_status_2(call: Run) -> None:
    """No encoding of the protocol has it."""
    status, _, err = call("set", "set-big", "desired.n=123456789012345678901234567890")
    assert status == ExitStatus.USAGE
    assert "64-bit" in err
