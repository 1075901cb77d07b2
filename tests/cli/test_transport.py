"""Commands reach a broker over TLS and WebSocket."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli.mqtt import BrokerClient
from bridge.config import load
from bridge.errors import ConfigError, ConnectRefused
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.tls_site import FLAWS, tls_site


class _Site:
    """A broker with a listener for each scheme."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        pair = self.authority.issue("server", "127.0.0.1")
        self.client = self.authority.issue("client")
        lines = [f"certfile {pair.certificate}", f"keyfile {pair.key}"]
        mutual = [*lines, f"cafile {self.authority.file}", "require_certificate true"]
        websocket = ["protocol websockets"]
        self.broker = Mosquitto(
            directory / "broker",
            listeners={"mqtts": mutual, "ws": websocket, "wss": [*websocket, *lines]},
        )

    def client_for(self, scheme: str, **files: Path | str) -> BrokerClient:
        environment = {f"SYNCBRIDGE_BROKER_{name.upper()}": str(v) for name, v in files.items()}
        url = f"{scheme}://127.0.0.1:{self.broker.ports[scheme]}"
        return BrokerClient.from_config(load({"broker.url": url}, environment).config)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    """One broker for all."""
    site = _Site(tmp_path_factory.mktemp("site"))
    with site.broker:
        yield site


@pytest.mark.parametrize("scheme", ["mqtts", "ws", "wss"])
def test_a_command_reaches_the_broker(site: _Site, scheme: str) -> None:
    """With the settings of the bridge."""
    files: dict[str, Path | str] = {}
    if scheme != "ws":
        files["ca_file"] = site.authority.file
    if scheme == "mqtts":
        files["certificate_file"], files["key_file"] = site.client

    with site.client_for(scheme, **files) as client:
        client.subscribe(["a"])
        client.publish("a", b"x")

        received = client.receive(30)

    assert received is not None
    assert received.payload == b"x"


def _refused(site: _Site, scheme: str) -> tuple[str, str]:
    with pytest.raises(ConnectRefused) as refused, site.client_for(scheme):
        pass
    return refused.value.message, refused.value.hint


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
def test_an_unknown_authority_is_refused_with_what_to_do(site: _Site, scheme: str) -> None:
    """In the words of the bridge."""
    message, hint = _refused(site, scheme)

    assert "no authority that is trusted here" in message
    assert "broker.ca_file" in hint
    # The socket was closed: nothing is said about it here.
    gc.collect()


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_bad_certificate_is_refused_by_a_command(tmp_path: Path, flaw: str) -> None:
    """Expired, for another name, self-signed: in the words of the bridge."""
    with tls_site(tmp_path) as site:
        environment = {"SYNCBRIDGE_BROKER_CA_FILE": str(site.ca)}
        url = f"mqtts://127.0.0.1:{site.port(flaw)}"
        client = BrokerClient.from_config(load({"broker.url": url}, environment).config)
        with pytest.raises(ConnectRefused, match=FLAWS[flaw]) as refused, client:
            pass
        assert refused.value.hint
    # The socket was closed: nothing is said about it here.
    gc.collect()


def test_another_name_is_said_not_to_be_supported(site: _Site) -> None:
    """Better than a check against the wrong name."""
    with pytest.raises(ConfigError, match="not supported by commands") as refused:
        site.client_for("wss", server_name="x.example")
    assert refused.value.field == "broker.server_name"
