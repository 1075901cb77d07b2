"""The files of TLS: what is wrong with them is said before anybody connects."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.link.tls import FILE_BYTES, TlsSettings
from tests.support.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One that signs what a test needs."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def client(authority: Authority) -> Pair:
    """A certificate of ours."""
    return authority.issue("client")


def _settings(authority: Authority, client: Pair) -> TlsSettings:
    return TlsSettings(authority.file, client.certificate, client.key)


def _refused(settings: TlsSettings, field: str) -> ConfigError:
    with pytest.raises(ConfigError) as refused:
        settings.make_context()
    assert refused.value.field == field
    assert refused.value.message.startswith(f"{field}: ")
    return refused.value


def test_broker_and_name_are_always_checked(authority: Authority, client: Pair) -> None:
    """And nothing older than TLS 1.2 is spoken."""
    for settings in (TlsSettings(), _settings(authority, client)):
        context = settings.make_context()
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_given_authority_is_the_only_one(authority: Authority) -> None:
    """Those of the system are not trusted beside it."""
    assert len(TlsSettings(authority.file).make_context().get_ca_certs()) == 1


def test_certificate_and_key_come_together(client: Pair) -> None:
    """One is of no use without the other."""
    with pytest.raises(ValueError, match="together"):
        TlsSettings(certificate_file=client.certificate)


@pytest.mark.parametrize("name", ["ca_file", "certificate_file", "key_file"])
def test_a_file_that_is_missing_is_named(authority: Authority, client: Pair, name: str) -> None:
    """With its setting."""
    missing = Path("/nowhere/x.pem")
    settings = replace(_settings(authority, client), **{name: missing})

    error = _refused(settings, f"broker.{name}")

    assert "/nowhere/x.pem cannot be read: No such file" in error.message


@pytest.mark.parametrize("name", ["ca_file", "certificate_file", "key_file"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x30\x82 DER", "in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n", ""),
        (b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n", ""),
        (b"x" * (FILE_BYTES + 1), f"larger than {FILE_BYTES} bytes"),
    ],
    ids=["not PEM", "a broken certificate", "a broken key", "too large"],
)
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, client: Pair, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """OpenSSL alone would not say which one it means."""
    file = tmp_path / "file"
    file.touch(mode=0o600)
    file.write_bytes(content)

    error = _refused(replace(_settings(authority, client), **{name: file}), f"broker.{name}")

    assert str(file) in error.message
    assert words in error.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_use_is_refused(
    authority: Authority, client: Pair, mode: int
) -> None:
    """With the command that mends it."""
    client.key.chmod(mode)

    error = _refused(_settings(authority, client), "broker.key_file")

    assert f"{mode:04o}" in error.message
    assert f"chmod 600 {client.key}" in error.hint


def test_the_key_of_another_certificate_is_refused(authority: Authority, client: Pair) -> None:
    """Renewed is sometimes only one of the two."""
    other = authority.issue("other")

    error = _refused(replace(_settings(authority, client), key_file=other.key), "broker.key_file")

    assert "is not the key of the certificate" in error.message


def test_an_encrypted_key_is_refused_and_not_asked_for(authority: Authority) -> None:
    """OpenSSL would ask for its password on the terminal, and wait."""
    secret = authority.issue("secret", password=b"p")

    error = _refused(_settings(authority, secret), "broker.key_file")

    assert "is encrypted" in error.message
