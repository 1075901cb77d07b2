"""Where the broker is, and how to log in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bridge.device import make_tls_context

MQTT_PORT = 1883
"""Registered with IANA for MQTT without TLS."""

MQTTS_PORT = 8883
"""Registered with IANA for MQTT over TLS."""

_PORTS = {"mqtt": MQTT_PORT, "mqtts": MQTTS_PORT}


@dataclass(frozen=True, slots=True)
class Broker:
    """An MQTT broker.

    Attributes:
        host: Name or address.
        port: TCP port.
        username: None for anonymous.
        password: Never shown.
        tls: It is spoken to over TLS; its certificate must be for `host`.
        ca_file: Certificates of the authorities to trust, in PEM; None: those of the system.
        certificate_file: The clients' certificate in PEM, for a broker that asks for one.
        key_file: Its private key in PEM.

    Raises:
        ValueError: There is a file and no TLS, or only one of certificate and key.
    """

    host: str = "127.0.0.1"
    port: int = MQTT_PORT
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        """Check that the files go together."""
        if any((self.ca_file, self.certificate_file, self.key_file)) and not self.tls:
            raise ValueError("files for TLS are given, and the broker is not mqtts://")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("a certificate and its key come together")

    @classmethod
    def parse(cls, url: str, *, username: str | None = None, password: str | None = None) -> Broker:
        """Read `mqtt://host`, `mqtt://host:port`, the same with `mqtts`, or without the scheme.

        Raises:
            ValueError: It is anything else; the message says what and what to write.
        """
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme not in _PORTS:
            raise ValueError(
                f"{parts.scheme}:// is not supported: write mqtt://host:port or mqtts://host:port"
            )
        if parts.username or parts.password:
            raise ValueError("a login does not belong into the address: give it apart")
        try:
            port = _PORTS[parts.scheme] if parts.port is None else parts.port
        except ValueError as error:
            raise ValueError(f"{url!r}: the port is a number from 1 to 65535") from error
        if not parts.hostname or not port or parts.path not in ("", "/") or parts.query:
            raise ValueError(f"{url!r} is no broker's address: write mqtt://host:port")
        return cls(parts.hostname, port, username, password, parts.scheme == "mqtts")

    def make_tls_context(self) -> ssl.SSLContext | None:
        """Read the files, if there is TLS. Blocks.

        Raises:
            ConfigError: One cannot be read or used.
        """
        if not self.tls:
            return None
        return make_tls_context(self.ca_file, self.certificate_file, self.key_file)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
