"""Settings about watching the bridge: what is accepted, and what is not."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bridge.config import MetricsConfig, TracingConfig


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("127.8.8.8:1", ("127.8.8.8", 1)),
        ("[::1]:9464", ("::1", 9464)),
        ("localhost:9464", ("localhost", 9464)),
    ],
)
def test_an_address_of_this_machine_is_taken(listen: str, address: tuple[str, int]) -> None:
    """In both families."""
    assert MetricsConfig(listen=listen).address == address


def test_by_default_nothing_listens() -> None:
    """But the administration socket."""
    assert MetricsConfig().address is None


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464", "example.com:1"])
def test_an_address_that_others_reach_is_refused(listen: str) -> None:
    """The reason says what to do instead."""
    with pytest.raises(ValidationError, match="put a proxy with TLS and a login in front"):
        MetricsConfig(listen=listen)


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "9464",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:x",
        "127.0.0.1:70000",
        "127.0.0.1:1/x",
        "u@[::1]:1",
    ],
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    """With an example."""
    with pytest.raises(ValidationError, match=r"such as 127\.0\.0\.1:9464"):
        MetricsConfig(listen=listen)


@pytest.mark.parametrize("endpoint", ["collector:4318", "ftp://collector/", "http://"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    """Spans go by HTTP."""
    with pytest.raises(ValidationError, match="not an http or https URL"):
        TracingConfig(endpoint=endpoint)


def test_a_login_in_the_endpoint_is_refused() -> None:
    """`syncbridge config` would show it."""
    with pytest.raises(ValidationError, match="OTEL_EXPORTER_OTLP_HEADERS"):
        TracingConfig(endpoint="http://user:word@127.0.0.1:4318/v1/traces")
