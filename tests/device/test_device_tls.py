"""A device speaks TLS, and says what is wrong with its broker's certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.device import Device, make_tls_context
from bridge.device.connection import Protocol
from bridge.errors import ConfigError
from tests.device.problems import wait_for_problem
from tests.device.scripted_bridge import PATIENCE_S, ScriptedBridge
from tests.support.tls_site import FLAWS, TlsSite, tls_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsSite]:
    """One broker for all."""
    with tls_site(tmp_path_factory.mktemp("tls")) as running:
        yield running


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_device_reports_over_tls_with_its_certificate(site: TlsSite, protocol: Protocol) -> None:
    """To a broker that lets nobody in without one."""
    tls = make_tls_context(site.ca, *site.client)
    port = site.port("mutual")
    with (
        ScriptedBridge(site.broker),
        Device("lamp-1", port=port, tls=tls, protocol=protocol) as lamp,
    ):
        lamp.report({"on": True}).wait(PATIENCE_S)


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_bad_certificate_is_named_to_who_waits(site: TlsSite, flaw: str) -> None:
    """Not only that the broker cannot be reached."""
    with Device("lamp-1", port=site.port(flaw), tls=make_tls_context(site.ca)) as lamp:
        lamp.report({"on": True})
        wait_for_problem(lamp, FLAWS[flaw])
        lamp.close(timeout_s=0)


@pytest.mark.parametrize("flaw", ["missing", "open", "not PEM"])
def test_a_file_that_cannot_be_used_is_named_by_its_argument(
    site: TlsSite, tmp_path: Path, flaw: str
) -> None:
    """Before anything is connected."""
    certificate, key = site.client
    bad = tmp_path / "bad"
    if flaw == "open":
        bad.write_bytes(key.read_bytes())
        bad.chmod(0o644)
        with pytest.raises(ConfigError, match=r"^key_file: .*0644") as refused:
            make_tls_context(site.ca, certificate, bad)
        assert refused.value.field == "key_file"
        return
    if flaw == "not PEM":
        bad.write_text("x")
    with pytest.raises(ConfigError, match=r"^ca_file: ") as refused:
        make_tls_context(bad)
    assert refused.value.field == "ca_file"
