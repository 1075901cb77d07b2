"""Where the broker is, and how to log in."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

MQTT_PORT = 1883
"""Registered with IANA for MQTT without TLS."""


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT broker.

    Attributes:
        host: Name or address.
        port: TCP port.
        username: None for anonymous.
        password: Never shown.
    """

    host: str = "127.0.0.1"
    port: int = MQTT_PORT
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, *, username: str | None = None, password: str | None = None) -> Broker:
        """Read `mqtt://host`, `mqtt://host:port`, or the same without the scheme.

        Raises:
            ValueError: It is anything else; the message says what and what to write.
        """
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme != "mqtt":
            raise ValueError(f"{parts.scheme}:// is not supported: write mqtt://host:port")
        if parts.username or parts.password:
            raise ValueError("a login does not belong into the address: give it apart")
        try:
            port = MQTT_PORT if parts.port is None else parts.port
        except ValueError as error:
            raise ValueError(f"{url!r}: the port is a number from 1 to 65535") from error
        if not parts.hostname or not port or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"{url!r} is no broker's address: write mqtt://host:port")
        return cls(parts.hostname, port, username, password)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"
