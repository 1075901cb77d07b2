"""`syncbridge run`: its start and its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.cli.status import ExitStatus
from bridge.config import Address
from bridge.device.payload import decode
from tests.cli.conftest import Run
from tests.cli.program import WAIT_S, Program
from tests.support.mosquitto import Mosquitto


def _await_status(client: BrokerClient, online: bool) -> None:
    while True:
        message = client.receive(WAIT_S)
        assert message is not None
        if decode(message.payload).get("online") is online:
            return


def test_ctrl_c_ends_it_in_good_order(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """With status 0, and its last word is that it is offline."""
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
        client.subscribe(["sync/$bridge/status"])
        with Program("run", "--broker", url, directory=tmp_path) as program:
            _await_status(client, online=True)
            program.interrupt()
            _await_status(client, online=False)
            assert program.wait() == ExitStatus.OK, program.errors()
    assert (tmp_path / "syncbridge-data" / "store.db").is_file()


def test_after_its_end_requests_are_not_left_behind(
    mosquitto: Mosquitto, tmp_path: Path, run: Run
) -> None:
    """The status says that it is offline, so nothing is sent that would be done much later."""
    url = f"mqtt://{mosquitto.host}:{mosquitto.port}"
    with Program("run", "--broker", url, directory=tmp_path) as program:
        with BrokerClient(Address(mosquitto.host, mosquitto.port)) as client:
            client.subscribe(["sync/$bridge/status"])
            _await_status(client, online=True)
        program.interrupt()
        assert program.wait() == ExitStatus.OK
    status, _, err = run("--broker", url, "set", "lamp-1", "desired.on=true")
    assert status == ExitStatus.UNAVAILABLE
    assert "offline" in err
    assert "syncbridge run" in err


@pytest.mark.parametrize("option", ["--embedded-port"])
def test_a_port_in_use_is_said_with_the_option(mosquitto: Mosquitto, run: Run, option: str) -> None:
    """And that the broker that is there can be used."""
    status, _, err = run("run", option, str(mosquitto.port))
    assert status == ExitStatus.FAILURE
    assert "in use" in err
    assert option in err
    assert "--broker" in err


def test_a_refused_login_ends_it(tmp_path: Path) -> None:
    """No waiting makes a wrong password right."""
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    with (
        Mosquitto(
            tmp_path / "mosquitto", extra=f"allow_anonymous false\npassword_file {passwords}"
        ) as broker,
        Program(
            "run", "--broker", f"mqtt://{broker.host}:{broker.port}", directory=tmp_path
        ) as program,
    ):
        assert program.wait() == ExitStatus.UNAVAILABLE
        assert "refused the connection" in program.errors()
