"""`syncbridge rollback`, and a device that follows it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import ExitStatus
from bridge.cli.mqtt import BrokerClient
from bridge.device import Device, JsonObject
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from tests.api.held import holding
from tests.api.orders import LAMP, update
from tests.cli.conftest import Installation, Run
from tests.cli.program import WAIT_S
from tests.cli.stored import carry_out


def newest(run: Run, store_option: str) -> Any:
    """The newest change of the lamp."""
    return json.loads(run("history", "lamp-1", store_option, "--limit", "1", "--json").out)


def test_a_section_is_brought_back(run: Run, store_option: str) -> None:
    """As a new version, by whoever typed it."""
    status, out, _ = run("rollback", "lamp-1", "--to", "5", "--as", "anna", store_option)
    assert (status, out) == (ExitStatus.OK, "lamp-1 version 8\n")
    change = newest(run, store_option)
    assert (change["version"], change["writer"], change["section"]) == (8, "anna", "desired")
    assert change["patch"] == {"on": True, "color": {"r": 255}}
    result = run("rollback", "lamp-1", "--to", "5", store_option)
    assert result == (ExitStatus.OK, "lamp-1 version 8 (unchanged)\n", "")


def test_a_rollback_is_json_for_programs(run: Run, store_option: str) -> None:
    """Of `reported`, to a time, and by the user of this machine."""
    out = run("history", "lamp-1", store_option, "--json", "--below", "6", "--limit", "1").out
    at = str(json.loads(out)["at"])
    result = run("rollback", "lamp-1", "--to", at, "--section", "reported", store_option, "--json")
    assert result.status == ExitStatus.OK
    assert json.loads(result.out) == {
        "device": "lamp-1",
        "name": "",
        "section": "reported",
        "version": 8,
        "changed": True,
        "superseded": False,
        "patch": {"on": None, "evil": None},
        "remaining": {},
    }
    assert newest(run, store_option)["writer"].startswith("cli-")


def test_without_a_bridge_it_is_told_when_it_is_published(run: Run, path: Path) -> None:
    """On the standard error, and only where there is something to publish."""
    for form, changed in (([], True), ([], False), (["--json"], False)):
        result = run("rollback", "lamp-1", "--to", "5", "--store", str(path), *form)
        note = "no bridge is running here: it is published when one starts\n" if changed else ""
        assert (result.status, result.err) == (ExitStatus.OK, note)
    with holding(path):
        result = run("rollback", "lamp-1", "--to", "7", "--store", str(path))
    assert result == (ExitStatus.OK, "lamp-1 version 9\n", "")


def test_the_brokers_user_is_the_writer(run: Run, store_option: str) -> None:
    """As with `set`, where no other name is given."""
    assert run("--username", "bob", "rollback", "lamp-1", "--to", "5", store_option).status == 0
    assert newest(run, store_option)["writer"] == "bob"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("4", "did not exist at version 4: it was deleted"),
        ("9", "it has no version 9 yet"),
        ("0", "did not exist at version 0"),
    ],
)
def test_a_version_that_is_not_there_is_status_5(
    run: Run, store_option: str, to: str, message: str
) -> None:
    """And nothing is changed."""
    status, out, err = run("rollback", "lamp-1", "--to", to, store_option)
    assert (status, out) == (ExitStatus.NOT_FOUND, "")
    assert message in err
    assert newest(run, store_option)["version"] == 7


def test_a_version_that_is_gone_is_status_5(run: Run, path: Path) -> None:
    """With how far back the history reaches, and what sets that."""
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        store._connection.execute("DELETE FROM history_block WHERE version < 6")
    status, _, err = run("rollback", "lamp-1", "--to", "1", "--store", str(path))
    assert status == ExitStatus.NOT_FOUND
    assert "its history begins with the change of version 6, of 20" in err
    assert "hint: store.history_changes and store.history_days" in err
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        assert store.load([LAMP])[LAMP].version == 7


def test_what_a_policy_keeps_is_told(run: Run, path: Path) -> None:
    """On the standard error, and in JSON; the rest is as it was."""
    Path("bridge.yaml").write_text('policies: {"*": {desired.total: max}}')
    for total in (3, 7):
        with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
            carry_out(store, update({"total": total, "scene": total}))
    status, out, err = run("rollback", "lamp-1", "--to", "8", "--store", str(path))
    # What was there when the policy came counts as somebody's contribution.
    assert (status, out) == (ExitStatus.OK, "lamp-1 version 10\n")
    assert "policies did not let back desired.total=3" in err
    result = run("rollback", "lamp-1", "--to", "8", "--store", str(path), "--json")
    assert json.loads(result.out)["remaining"] == {"total": 3}


def test_a_device_that_obeys_follows_a_rollback(
    installation: Installation, call: Run, client: BrokerClient
) -> None:
    """The bridge publishes the delta of it, and the device does what it says."""
    store = f"--store={installation.store}"
    states = States(client, "back-lamp")
    with Device("back-lamp", port=installation.broker.port) as lamp:

        @lamp.on_delta
        def obey(wanted: JsonObject) -> None:
            lamp.report(wanted)

        out = call("set", "back-lamp", "desired.on=true", "desired.level=1", "--json").out
        version = json.loads(out)["version"]
        states.wait_for({"on": True, "level": 1})
        assert call("set", "back-lamp", "desired.on=false", "desired.level=9").status == 0
        states.wait_for({"on": False, "level": 9})
        result = call("rollback", "back-lamp", "--to", str(version), store)
        assert (result.status, result.err) == (ExitStatus.OK, "")
        twin = states.wait_for({"on": True, "level": 1})
        assert twin["desired"] == {"on": True, "level": 1}
        assert twin["version"] > version


class States:
    """The states of a device, as they are published."""

    def __init__(self, client: BrokerClient, device: str) -> None:
        self._client = client
        self._topic = f"sync/{device}/state"
        client.subscribe([self._topic])

    def wait_for(self, reported: JsonObject) -> Any:
        """Wait until the device has reported that, and return the twin."""
        while True:
            message = self._client.receive(WAIT_S)
            assert message is not None, f"{reported} was never reported"
            if message.topic == self._topic and message.payload:
                twin = json.loads(message.payload)
                if twin["reported"] == reported:
                    return twin
