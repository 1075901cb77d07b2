"""The program, called as a function, and a broker with a bridge for it to talk to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge.cli import main
from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from bridge.device.payload import decode
from tests.cli.program import WAIT_S, environment
from tests.support.mosquitto import Mosquitto


class Result(NamedTuple):
    """How a call ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without a bridge.yaml, and no variable that is a setting."""
    monkeypatch.chdir(tmp_path)
    for variable in environment(without_settings=False).keys() - environment().keys():
        monkeypatch.delenv(variable)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls `main` with arguments, and returns its status and output."""

    def call(*arguments: str) -> Result:
        status = main(arguments)
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return call


class Installation(NamedTuple):
    """A broker with a bridge."""

    broker: Mosquitto
    url: str


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A Mosquitto, and a bridge started as a user would: one of each for all tests here."""
    directory = tmp_path_factory.mktemp("installation")
    with Mosquitto(directory / "mosquitto") as broker:
        url = f"mqtt://{broker.host}:{broker.port}"
        command = [sys.executable, "-m", "bridge", "run", "--broker", url]
        with (directory / "bridge.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=directory, env=environment(), stderr=log)
        try:
            _wait_until_online(broker)
            yield Installation(broker, url)
        finally:
            process.terminate()
            process.wait(timeout=WAIT_S)


def _wait_until_online(broker: Mosquitto) -> None:
    with BrokerClient(Address(broker.host, broker.port)) as client:
        client.subscribe(["sync/$bridge/status"])
        while True:
            message = client.receive(WAIT_S)
            assert message is not None, "the bridge did not come online"
            if decode(message.payload).get("online") is True:
                return


@pytest.fixture
def call(installation: Installation, run: Run) -> Run:
    """Calls `main` with arguments, at the broker of the installation."""
    return lambda *arguments: run("--broker", installation.url, *arguments)


@pytest.fixture
def client(installation: Installation) -> Iterator[BrokerClient]:
    """A connection of the test's own to the broker of the installation."""
    broker = installation.broker
    with BrokerClient(Address(broker.host, broker.port)) as client:
        yield client
