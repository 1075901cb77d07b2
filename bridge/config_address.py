"""The address of a broker, as it is written in the configuration."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

MQTT_PORT = 1883
"""The port of MQTT without TLS, as registered with IANA."""

MQTTS_PORT = 8883
"""The port of MQTT over TLS, as registered with IANA."""

WEBSOCKET_PATH = "/mqtt"
"""Where brokers have their WebSocket, unless they are told otherwise."""

URL_RULE = (
    "mqtt://host:port, mqtts://host:port, ws://host:port/path or wss://host:port/path; port and "
    "path may be left out"
)
"""What is accepted, in words."""


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int


class BrokerUrl(NamedTuple):
    """What an address in the configuration says.

    Attributes:
        address: Where the broker listens.
        tls: It speaks TLS there.
        websocket_path: Path of its WebSocket; None where it speaks MQTT without one.
    """

    address: Address
    tls: bool = False
    websocket_path: str | None = None


class _Scheme(NamedTuple):
    port: int
    tls: bool
    websocket: bool


_MQTTS = _Scheme(MQTTS_PORT, tls=True, websocket=False)
_SCHEMES = {
    "mqtt": _Scheme(MQTT_PORT, tls=False, websocket=False),
    "mqtts": _MQTTS,
    "ssl": _MQTTS,
    "tls": _MQTTS,
    "ws": _Scheme(80, tls=False, websocket=True),
    "wss": _Scheme(443, tls=True, websocket=True),
}

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+\Z")
# What a path in a request may hold (RFC 3986 section 3.3).
_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)*\Z")


def is_printable(text: str) -> bool:
    """Tell whether a text is not empty and has no control characters and no surrogates."""
    return _PRINTABLE.match(text) is not None


def parse_url(url: str) -> BrokerUrl:
    """Take a broker's address apart; the messages never repeat the URL, which may hold a secret.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    if parts.password is not None or parts.username is not None:
        raise ValueError(
            "it holds a login; leave that out and set broker.username, and the password in "
            "SYNCBRIDGE_BROKER_PASSWORD or broker.password_file"
        )
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or parts.query or parts.fragment:
        raise ValueError("it is not such an address, with nothing behind it")
    address = Address(_host(parts), _port(parts) or scheme.port)
    if scheme.websocket:
        return BrokerUrl(address, scheme.tls, _path(parts))
    if parts.path.strip("/"):
        raise ValueError("only after ws:// and wss:// there is a path")
    return BrokerUrl(address, scheme.tls)


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host or any(c.isspace() for c in host) or not is_printable(host):
        raise ValueError("the host is missing or not a host name or address")
    return host


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("the port is not a number from 1 to 65535")
    return port


def _path(parts: SplitResult) -> str:
    if not _PATH.match(parts.path):
        raise ValueError("the path has characters that must be written as %, such as %20")
    return parts.path or WEBSOCKET_PATH
