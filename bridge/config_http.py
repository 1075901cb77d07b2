"""Settings of the HTTP API."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from bridge.config_section import Section
from bridge.core.topics import is_name

EVERYONE = "*"
"""In `http.metrics`: whoever asks."""


class HttpConfig(Section):
    """The HTTP API ([http](http.md))."""

    listen: str | None = Field(
        default=None,
        description="Address and port to answer HTTP on, such as `127.0.0.1:8080`; port 0 is any "
        "free one. Not set: there is no HTTP API. Beyond this machine only with "
        "`http.certificate_file`, or with `http.proxy`.",
    )
    certificate_file: Path | None = Field(
        default=None,
        description="The server's certificate with its chain, in PEM. With it, HTTPS is spoken.",
    )
    key_file: Path | None = Field(
        default=None, description="The private key of that certificate, in PEM, not encrypted."
    )
    proxy: str | None = Field(
        default=None,
        description="Address of the reverse proxy that speaks TLS to the clients. Only from "
        "there requests are taken, and only its `X-Forwarded-For` is believed.",
    )
    hosts: str = Field(
        default="localhost,127.0.0.1,[::1]",
        max_length=4096,
        description="Names that a request may give in `Host`, without ports, separated by commas. "
        "Others are refused: a web page could otherwise lead a browser here under its own name.",
    )
    origins: str = Field(
        default="",
        max_length=4096,
        description="Origins of web pages that may use the API, such as "
        "`https://panel.example`, separated by commas. Requests of other pages are refused.",
    )
    body_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=16 * 1024 * 1024,
        description="Largest body of a request, as sent and as decompressed.",
    )
    requests_per_minute: int = Field(
        default=600_000,
        ge=1,
        le=100_000_000,
        description="Requests of one address in a minute. What is beyond is answered with 429.",
    )
    connections: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Connections at the same time; further ones are answered with 503 and closed. "
        "The limit on open files is raised for them, as far as the system allows.",
    )
    stream_events: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Changes that may wait for one reader of a stream; a slower one is closed.",
    )
    stream_queries: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Readers that may follow a query at the same time: each is held against every "
        "change of a twin that it could find.",
    )
    replay_bytes: int = Field(
        default=16 * 1024 * 1024,
        ge=0,
        le=1024 * 1024 * 1024,
        description="Memory for past changes, from which a reader that comes back goes on.",
    )

    metrics: str = Field(
        default="",
        max_length=4096,
        description="Principals whose tokens may read `/metrics`, separated by commas; `*` is "
        "everyone, without a token. Without permissions everyone may in any case.",
        json_schema_extra={"allowed": "names of principals, separated by commas, or *"},
    )

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, text: str) -> str:
        for name in _split(text):
            if name != EVERYONE and not is_name(name):
                raise ValueError(f"{name[:80]!r} cannot be a principal")
        return text

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, text: str | None) -> str | None:
        if text is not None:
            parse_listen(text)
        return text

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, text: str | None) -> str | None:
        if text is not None:
            ipaddress.ip_address(text)
        return text

    @model_validator(mode="after")
    def _check_reach(self) -> HttpConfig:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("http.certificate_file and http.key_file belong together: set both")
        if self.listen is None:
            return self
        host, _ = parse_listen(self.listen)
        if (
            not ipaddress.ip_address(host).is_loopback
            and self.certificate_file is None
            and self.proxy is None
        ):
            raise ValueError(
                "http.listen is beyond this machine: set http.certificate_file and "
                "http.key_file, or name the proxy that speaks TLS in http.proxy"
            )
        return self

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """What `Host` may say, without a port."""
        return _names(self.hosts)

    @property
    def metrics_readers(self) -> frozenset[str]:
        """Who may read the metrics; `EVERYONE` among them is whoever asks."""
        return frozenset(_split(self.metrics))

    @property
    def allowed_origins(self) -> frozenset[str]:
        """What `Origin` may say."""
        return _names(self.origins)


def parse_listen(text: str) -> tuple[str, int]:
    """Return address and port.

    Raises:
        ValueError: It is not an IP address with a port.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65_535:
        raise ValueError("it is not an address with a port, such as 127.0.0.1:8080")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise ValueError(f"{host!r} is not an IP address; for this machine: 127.0.0.1") from error
    return host, int(port)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.lower() for name in _split(text))


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
