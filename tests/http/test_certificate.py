"""A renewed certificate is shown without a restart."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.http.served import Served, http_config, serving
from tests.support.certificates import Authority, Pair
from tests.support.mosquitto import Mosquitto

_NAMES = ("127.0.0.1", "localhost")
_WAIT_S = 30.0


class _Site:
    """A bridge with HTTPS, and an authority that renews its certificate."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.files = Pair(directory / "live.pem", directory / "live.key")
        self.client = ssl.create_default_context(cafile=self.authority.file)
        self.put(self.authority.issue("first", *_NAMES))
        self.served: Served

    def put(self, pair: Pair) -> int:
        """Put a certificate in the place of the last one, the key first; returns its number."""
        for new, live in ((pair.key, self.files.key), (pair.certificate, self.files.certificate)):
            shutil.copy2(new, f"{live}.new")
            Path(f"{live}.new").replace(live)
        return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number

    def connect(self, name: str) -> ssl.SSLSocket:
        """Connect, and check the certificate for a name; an address is not told in the hello."""
        port = int(self.served.url.rpartition(":")[2])
        plain = socket.create_connection(("127.0.0.1", port), timeout=_WAIT_S)
        return self.client.wrap_socket(plain, server_hostname=name)

    def shown(self, name: str = "127.0.0.1") -> int:
        """Return the number of the certificate that a new connection is shown."""
        with self.connect(name) as connection:
            shown = connection.getpeercert(binary_form=True)
            assert shown is not None
            return x509.load_der_x509_certificate(shown).serial_number


@pytest.fixture
def site(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[_Site]:
    """A running one."""
    site = _Site(tmp_path / "certificates")
    files = {"certificate_file": site.files.certificate, "key_file": site.files.key}
    with serving(http_config(mosquitto, tmp_path, http=files), "https") as site.served:
        yield site


@pytest.mark.parametrize("name", _NAMES)
def test_a_renewed_certificate_is_shown_to_the_next_connection(site: _Site, name: str) -> None:
    """Whether the client says the name in its hello or not."""
    before = site.shown(name)
    renewed = site.put(site.authority.issue("second", *_NAMES))
    assert site.shown(name) == renewed != before


def test_a_connection_that_stands_goes_on(site: _Site) -> None:
    """With what it began with."""
    port = int(site.served.url.rpartition(":")[2])
    with contextlib.closing(
        http.client.HTTPSConnection("localhost", port, context=site.client, timeout=_WAIT_S)
    ) as connection:
        for _ in range(2):
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            assert answer.status == 200
            assert b"ok" in answer.read()
            site.put(site.authority.issue("second", *_NAMES))
            assert site.shown()


@pytest.mark.parametrize("flaw", ["of another key", "cut", "open", "gone"])
def test_a_renewal_that_cannot_be_used_changes_nothing(
    site: _Site, flaw: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last good one stays, it is said once, and a good one is taken after all."""
    before = site.shown()
    second = site.authority.issue("second", *_NAMES)
    if flaw == "of another key":
        shutil.copy(second.certificate, site.files.certificate)
    elif flaw == "cut":
        site.files.certificate.write_bytes(second.certificate.read_bytes()[:100])
    elif flaw == "open":
        site.put(second)
        site.files.key.chmod(0o644)
    else:
        site.files.certificate.unlink()
    capsys.readouterr()
    assert [site.shown(), site.shown()] == [before, before]
    assert capsys.readouterr().err.count("the certificate was not renewed") == 1
    site.files.key.unlink()
    third = site.put(site.authority.issue("third", *_NAMES))
    assert site.shown() == third
