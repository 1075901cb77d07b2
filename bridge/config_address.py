"""The address of a broker, as it is written in the configuration."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

MQTT_PORT = 1883
"""The port of MQTT without TLS, as registered with IANA."""

URL_RULE = "mqtt://host or mqtt://host:port"
"""What is accepted, in words."""

_TLS_SCHEMES = frozenset({"mqtts", "ssl", "tls", "wss"})
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+\Z")


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int


def is_printable(text: str) -> bool:
    """Tell whether a text is not empty and has no control characters and no surrogates."""
    return _PRINTABLE.match(text) is not None


def parse_address(url: str) -> Address:
    """Take a broker's address apart; the messages never repeat the URL, which may hold a secret.

    Raises:
        ValueError: It is not one that can be used now.
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    if parts.password is not None or parts.username is not None:
        raise ValueError(
            "it holds a login; leave that out and set broker.username, and the password in "
            "SYNCBRIDGE_BROKER_PASSWORD or broker.password_file"
        )
    if parts.scheme in _TLS_SCHEMES:
        raise ValueError(
            "TLS comes with the security release; until then use mqtt:// over a network that you "
            "trust, or a tunnel"
        )
    if parts.scheme != "mqtt" or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("it is not such an address, with nothing behind it")
    return Address(_host(parts), _port(parts))


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host or any(c.isspace() for c in host) or not is_printable(host):
        raise ValueError("the host is missing or not a host name or address")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port is not a number from 1 to 65535")
    return port or MQTT_PORT
