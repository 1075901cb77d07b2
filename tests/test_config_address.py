"""The broker's address: which URLs are one, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.config import BrokerConfig, load
from bridge.errors import ConfigError

_SECRET = "correct-horse"  # noqa: S105  made up, and searched for in what is said


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("mqtt://broker.example.com", "broker.example.com", 1883),
        ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884),
        ("mqtt://[::1]:1884/", "::1", 1884),
        ("MQTT://Broker", "broker", 1883),
    ],
)
def test_the_address_is_taken_from_the_url(url: str, host: str, port: int) -> None:
    """With the registered port where none is given."""
    assert BrokerConfig(url=url).address == (host, port)


def test_without_url_there_is_no_address() -> None:
    """Which means the embedded broker."""
    assert BrokerConfig().address is None


@pytest.mark.parametrize(
    "url",
    [
        "broker:1883", "http://broker", "mqtt://", "mqtt://:1883", "mqtt://broker:0",
        "mqtt://broker:65536", "mqtt://broker:x", "mqtt://broker/x", "mqtt://broker?x", "mqtt://[::1",
        "mqtt://a b", "mqtt://a\x1bb", "",
    ],
)  # fmt: skip
def test_what_is_no_broker_address_is_refused(url: str) -> None:
    """With the form that is expected."""
    with pytest.raises(ConfigError) as refused:
        load({"broker.url": url}, {})
    assert "mqtt://host:port" in refused.value.hint


@pytest.mark.parametrize(
    "url",
    [f"mqtt://user:{_SECRET}@broker", f"mqtt://:{_SECRET}@broker", f"mqtt://u:{_SECRET}/x@broker"],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    """URLs end in logs, process lists and shell histories; so would the message."""
    with pytest.raises(ConfigError) as refused:
        load({"broker.url": url}, {})
    assert _SECRET not in str(refused.value)


def test_a_password_in_the_url_is_refused_with_where_it_belongs() -> None:
    """The message names the variable and the file."""
    with pytest.raises(ConfigError, match=r"SYNCBRIDGE_BROKER_PASSWORD or broker\.password_file"):
        load({"broker.url": f"mqtt://user:{_SECRET}@broker"}, {})
