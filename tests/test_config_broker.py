"""The settings of TLS and WebSocket, and what a broker's address says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import BrokerConfig, load
from bridge.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "port", "tls", "path"),
    [
        ("mqtt://h", 1883, False, None),
        ("mqtts://h", 8883, True, None),
        ("ssl://h", 8883, True, None),
        ("tls://h:1", 1, True, None),
        ("ws://h", 80, False, "/mqtt"),
        ("wss://h", 443, True, "/mqtt"),
        ("wss://h:8084/", 8084, True, "/"),
        ("ws://h/a/b%20c", 80, False, "/a/b%20c"),
    ],
)
def test_the_scheme_says_how_the_broker_is_reached(
    url: str, port: int, tls: bool, path: str | None
) -> None:
    """With the registered port, and the usual path, where none is given."""
    broker = BrokerConfig(url=url)

    assert broker.address == ("h", port)
    assert (broker.tls, broker.websocket_path) == (tls, path)


def test_the_embedded_broker_has_neither() -> None:
    """It listens on this machine only."""
    broker = BrokerConfig()

    assert (broker.tls, broker.websocket_path) == (False, None)


@pytest.mark.parametrize(
    "url", ["mqtts://h/x", "ws://h/a b", "ws://h/ä", "ws://h/%2", "ws://h/x?y", "wss://h/#x"]
)
def test_what_is_no_path_is_refused(url: str) -> None:
    """With the form that is expected."""
    with pytest.raises(ConfigError) as refused:
        load({"broker.url": url}, {})
    assert "wss://host:port/path" in refused.value.hint


@pytest.mark.parametrize("name", ["ca_file", "certificate_file", "key_file", "server_name"])
@pytest.mark.parametrize("url", [None, "mqtt://h", "ws://h"])
def test_what_is_for_tls_is_refused_without_it(name: str, url: str | None) -> None:
    """Nobody may believe that a connection is encrypted which is not."""
    with pytest.raises(ConfigError, match="does not begin with mqtts:// or wss://") as refused:
        load({"broker.url": url}, {f"SYNCBRIDGE_BROKER_{name.upper()}": "x"})
    assert refused.value.field == f"broker.{name}"
    assert refused.value.source == f"environment SYNCBRIDGE_BROKER_{name.upper()}"


@pytest.mark.parametrize(
    ("given", "missing"), [("certificate_file", "key_file"), ("key_file", "certificate_file")]
)
def test_certificate_and_key_come_together(given: str, missing: str) -> None:
    """One is of no use without the other."""
    with pytest.raises(ConfigError, match=rf"broker\.{given} is set, and broker\.{missing} is not"):
        load({"broker.url": "mqtts://h"}, {f"SYNCBRIDGE_BROKER_{given.upper()}": "x"})


def test_the_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    """As every other path."""
    file = tmp_path / "bridge.yaml"
    file.write_text(
        "broker: {url: 'mqtts://h', ca_file: ca.pem, certificate_file: c.pem, key_file: c.key}"
    )

    broker = load({}, {}, file).config.broker

    assert broker.ca_file == tmp_path / "ca.pem"
    assert broker.certificate_file == tmp_path / "c.pem"
    assert broker.key_file == tmp_path / "c.key"


def test_a_wrong_url_is_what_is_reported() -> None:
    """And not that it has no TLS."""
    with pytest.raises(ConfigError) as refused:
        load({"broker.url": "mqtts//h"}, {"SYNCBRIDGE_BROKER_CA_FILE": "x"})
    assert refused.value.field == "broker.url"
