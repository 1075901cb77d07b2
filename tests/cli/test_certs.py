"""`syncbridge certs init`: a real Mosquitto and the bridge's TLS live on what it makes."""

from __future__ import annotations

import shutil
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from bridge.cli import main
from bridge.cli.status import ExitStatus
from bridge.config import BrokerConfig, Config, StoreConfig
from bridge.errors import ConnectRefused
from bridge.link.tls import TlsSettings
from bridge.link.transport import open_transport
from tests.cli.conftest import Run
from tests.link.transports import CONNACK, CONNECT, Recorder, settings_for
from tests.support.bridge import running_bridge
from tests.support.mosquitto import Mosquitto

_STRICT = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.fixture
def made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    """A directory of certificates, and what was printed."""
    directory = tmp_path / "certs"
    names = ["--server", "localhost,127.0.0.1,::1", "--server", "other.example"]
    assert main(["certs", "init", str(directory), *names, "--client", "bridge"]) == ExitStatus.OK
    return directory, capsys.readouterr().out


def _printed(text: str, first: str) -> list[str]:
    """Return the printed block that begins with this line, without it."""
    lines = text.split("\n\n")
    return next(block.split("\n")[1:] for block in lines if block.split("\n")[0].startswith(first))


@pytest.fixture
def broker(made: tuple[Path, str], tmp_path: Path) -> Iterator[Mosquitto]:
    """A Mosquitto with the lines that were printed for it: one listener for each server."""
    listeners = {}
    for name in ("localhost", "other.example"):
        first, *others = _printed(made[1], f"# mosquitto.conf of {name};")
        assert first == "listener 8883"
        listeners[name] = others
    with Mosquitto(tmp_path / "broker", listeners=listeners) as running:
        yield running


def _settings(made: tuple[Path, str]) -> dict[str, Any]:
    broker = yaml.safe_load("\n".join(_printed(made[1], "# bridge.yaml")))["broker"]
    assert broker.pop("url") == "mqtts://localhost:8883"
    assert isinstance(broker, dict)
    return broker


def _tls(made: tuple[Path, str]) -> TlsSettings:
    return TlsSettings(**{name: Path(path) for name, path in _settings(made).items()})


async def test_the_bridge_runs_on_what_is_printed(
    made: tuple[Path, str], broker: Mosquitto, tmp_path: Path
) -> None:
    """Both sides show a certificate, and both check it."""
    url = f"mqtts://127.0.0.1:{broker.ports['localhost']}"
    config = Config(
        broker=BrokerConfig(url=url, **_settings(made)),
        store=StoreConfig(path=tmp_path / "store.db"),
    )
    async with running_bridge(config):
        pass


@pytest.mark.parametrize("flaw", ["another name", "another authority"])
async def test_a_broker_that_is_not_the_right_one_is_refused(
    made: tuple[Path, str], broker: Mosquitto, tmp_path: Path, flaw: str
) -> None:
    """With the words that TLS to the broker has for it."""
    tls, listener, words = _tls(made), "other.example", "is for another name"
    if flaw == "another authority":
        other = tmp_path / "other"
        assert main(["certs", "init", str(other), "--client", "bridge"]) == ExitStatus.OK
        tls, listener = TlsSettings(other / "ca.pem"), "localhost"
        words = "is signed by no authority that is trusted here"
    recorder = Recorder()

    with pytest.raises(ConnectRefused, match=words):
        await open_transport(recorder, settings_for(broker.ports[listener], tls=tls))


async def test_a_name_that_is_added_later_is_let_in(
    made: tuple[Path, str], broker: Mosquitto
) -> None:
    """The authority is the same, and the broker needs no new file."""
    directory, _ = made
    before = (directory / "ca.pem").read_bytes()
    assert main(["certs", "init", str(directory), "--client", "lamp-1"]) == ExitStatus.OK
    assert (directory / "ca.pem").read_bytes() == before
    tls = TlsSettings(directory / "ca.pem", directory / "lamp-1.pem", directory / "lamp-1.key")
    recorder = Recorder()

    await open_transport(recorder, settings_for(broker.ports["localhost"], tls=tls))
    recorder.transport.write(CONNECT)

    await recorder.receive(CONNACK)
    await recorder.leave()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_both_sides_pass_the_strictest_check(made: tuple[Path, str], name: str) -> None:
    """That of Python 3.13, under each name: a handshake in memory."""
    directory, _ = made
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.verify_mode = ssl.CERT_REQUIRED
    for context, file in ((ours, "bridge"), (theirs, "localhost")):
        context.verify_flags |= _STRICT
        context.load_verify_locations(directory / "ca.pem")
        context.load_cert_chain(directory / f"{file}.pem", directory / f"{file}.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(down, up, server_hostname=name)
    server = theirs.wrap_bio(up, down, server_side=True)
    waiting = [client, server, client, server]
    for side in waiting:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == server.version() == "TLSv1.3"
    assert server.getpeercert()


def test_keys_are_their_owners_only(made: tuple[Path, str]) -> None:
    """Of the authority, of servers and of clients."""
    keys = sorted(made[0].glob("*.key"))
    assert [key.stem for key in keys] == ["bridge", "ca", "localhost", "other.example"]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_nothing_is_overwritten(made: tuple[Path, str], run: Run) -> None:
    """Not even the other names of the same call are made."""
    directory, _ = made
    before = {path: path.read_bytes() for path in directory.iterdir()}

    done = run("certs", "init", str(directory), "--client", "new", "--client", "bridge")

    assert done.status == ExitStatus.USAGE
    assert "bridge.pem exists" in done.err
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


@pytest.mark.parametrize("flaw", ["missing", "open", "of another"])
def test_an_authority_that_cannot_be_used_signs_nothing(
    made: tuple[Path, str], run: Run, tmp_path: Path, flaw: str
) -> None:
    """Its key is missing, readable for others, or not its own."""
    directory, _ = made
    if flaw == "missing":
        (directory / "ca.key").unlink()
    elif flaw == "open":
        (directory / "ca.key").chmod(0o644)
    else:
        shutil.copy(directory / "bridge.key", directory / "ca.key")

    done = run("certs", "init", str(directory), "--client", "lamp-1")

    assert done.status == ExitStatus.USAGE
    assert "ca.key" in done.err
    assert not (directory / "lamp-1.pem").exists()


@pytest.mark.parametrize("name", ["ca", "../x", "", "a/b", "x" * 65, "-x", "ä"])
def test_what_can_be_no_name_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """A name becomes a file's."""
    assert run("certs", "init", str(tmp_path / "d"), "--client", name).status == ExitStatus.USAGE
    assert not (tmp_path / "d").exists()


def test_a_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    """It could not be checked then."""
    arguments = ["--client", "late", "--days", "3650"]
    assert main(["certs", "init", str(tmp_path), *arguments]) == ExitStatus.OK
    authority, late = (
        x509.load_pem_x509_certificate((tmp_path / f"{name}.pem").read_bytes())
        for name in ("ca", "late")
    )
    assert late.not_valid_after_utc <= authority.not_valid_after_utc
