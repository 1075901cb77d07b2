"""Settings about watching the bridge itself: metrics and traces."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from bridge.config_section import Section


class MetricsConfig(Section):
    """Metrics for Prometheus ([metrics](metrics.md))."""

    listen: str | None = Field(
        default=None,
        description="Where `/metrics` is answered over HTTP, beside the administration socket, "
        "which always does. Without encryption and login, and so on this machine only.",
        json_schema_extra={"allowed": "address and port of this machine, such as 127.0.0.1:9464"},
    )

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str | None) -> str | None:
        if listen is not None:
            host, _ = _parse(listen)
            if not _is_loopback(host):
                raise ValueError(
                    "it is not an address of this machine alone: 127.0.0.1 or [::1]. For others "
                    "put a proxy with TLS and a login in front"
                )
        return listen

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on, or None."""
        return None if self.listen is None else _parse(self.listen)


class TracingConfig(Section):
    """Traces for OpenTelemetry ([metrics](metrics.md#traces))."""

    endpoint: str | None = Field(
        default=None,
        description="Where spans are sent, in OTLP over HTTP; needs `syncbridge[tracing]`. Not "
        "set: there are none.",
        json_schema_extra={"allowed": "a URL such as http://127.0.0.1:4318/v1/traces"},
    )
    sample_ratio: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="Part of the batches that are traced: under load there are hundreds a second.",
    )

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None:
            parts = urlsplit(endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("it is not an http or https URL")
            if parts.username or parts.password:
                raise ValueError(
                    "it holds a login; put that into the variable OTEL_EXPORTER_OTLP_HEADERS"
                )
        return endpoint


def _parse(listen: str) -> tuple[str, int]:
    parts = urlsplit(f"//{listen}")
    host, port = parts.hostname, None
    with contextlib.suppress(ValueError):
        port = parts.port
    if not host or port is None or parts.path or parts.query or "@" in listen:
        raise ValueError("it is not an address and a port, such as 127.0.0.1:9464")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
