"""The program, called as a function, and a broker with a bridge for it to talk to."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from bridge.cli import main
from bridge.cli.mqtt import BrokerClient
from bridge.config import Address
from bridge.device.payload import decode
from tests.api.held import holding
from tests.cli.principals import FILE
from tests.cli.program import WAIT_S, environment
from tests.cli.stored import make_past
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


@pytest.fixture
def permissions(tmp_path: Path) -> Path:
    """A file of permissions."""
    path = tmp_path / "permissions.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


class Installation(NamedTuple):
    """A broker with a bridge, and the bridge's store."""

    broker: Mosquitto
    url: str
    store: Path


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A Mosquitto, and a bridge started as a user would: one of each for all tests here."""
    directory = tmp_path_factory.mktemp("installation")
    with (
        Mosquitto(directory / "mosquitto") as broker,
        tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as short,
    ):
        url = f"mqtt://{broker.host}:{broker.port}"
        # Its path leaves room for a socket beside it, whatever pytest's own is called.
        store = Path(short) / "store.db"
        command = [sys.executable, "-m", "bridge", "run", "--broker", url, f"--store={store}"]
        with (directory / "bridge.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=directory, env=environment(), stderr=log)
        try:
            _wait_until_online(broker)
            yield Installation(broker, url, store)
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


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a past, to be copied: to make one takes many commits."""
    store_path = tmp_path_factory.mktemp("past") / "store.db"
    make_past(store_path)
    return store_path


@pytest.fixture
def path(past: Path) -> Iterator[Path]:
    """A store with a past, in a directory whose path leaves room for a socket."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        yield Path(shutil.copy(past, directory))


@pytest.fixture(params=["free", "held"])
def store_option(request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    """The option that names that store, which nobody holds, or a bridge does."""
    with holding(path) if request.param == "held" else contextlib.nullcontext():
        yield f"--store={path}"
