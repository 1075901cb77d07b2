"""A certificate authority for a laboratory: two files, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bridge.errors import ConfigError
from bridge.secret_file import NOBODY_ELSE, require_private

AUTHORITY_DAYS: Final = 3650
"""How long the authority is valid: a laboratory's life."""

_COMMON_NAME: Final = "syncbridge laboratory"
_EARLIER: Final = datetime.timedelta(hours=1)
"""Certificates are valid from so long ago: clocks of small machines are late."""


class Pair(NamedTuple):
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path


def pair_of(directory: Path, name: str) -> Pair:
    """Return where the files of a name are."""
    return Pair(directory / f"{name}.pem", directory / f"{name}.key")


class Authority:
    """An authority with its key, made or read.

    Attributes:
        certificate: What others trust.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def make(cls) -> Authority:
        """Make one; nothing is written."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(_COMMON_NAME)
        builder = _builder(name, name, key.public_key(), _days_from_now(AUTHORITY_DAYS))
        builder = builder.add_extension(x509.BasicConstraints(True, 0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        return cls(_sign(builder, key.public_key(), key), key)

    @classmethod
    def read(cls, pair: Pair) -> Authority:
        """Read one that was made before.

        Raises:
            ConfigError: A file is missing, broken, or open to others, or they do not match.
        """
        try:
            require_private("DIRECTORY", pair.key, pair.key.stat().st_mode, NOBODY_ELSE)
            certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
            key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"the authority in {pair.certificate.parent} cannot be read: {error}",
                field="DIRECTORY",
                hint=f"{pair.certificate.name} and {pair.key.name} belong together; "
                "or take another directory",
            ) from error
        if (
            not isinstance(key, ec.EllipticCurvePrivateKey)
            or certificate.public_key() != key.public_key()
        ):
            raise ConfigError(
                f"{pair.key} is not the key of the authority in {pair.certificate}",
                field="DIRECTORY",
                hint="put the right one back, or take another directory",
            )
        return cls(certificate, key)

    def write(self, pair: Pair) -> None:
        """Write both files, which must not exist.

        Raises:
            OSError: They cannot be written.
        """
        _write(pair, self.certificate, self._key)

    def issue_server(self, pair: Pair, names: Sequence[str], days: int) -> None:
        """Sign and write a certificate for a server under these host names and addresses.

        Raises:
            OSError: The files exist or cannot be written.
        """
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        self._issue(pair, names[0], days, ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def issue_client(self, pair: Pair, name: str, days: int) -> None:
        """Sign and write a certificate for a client; its common name is the name.

        Raises:
            OSError: The files exist or cannot be written.
        """
        self._issue(pair, name, days, ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        pair: Pair,
        name: str,
        days: int,
        use: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(_days_from_now(days), self.certificate.not_valid_after_utc)
        builder = _builder(_name(name), self.certificate.subject, key.public_key(), until)
        builder = builder.add_extension(x509.BasicConstraints(False, None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        _write(pair, _sign(builder, self._key.public_key(), self._key), key)


def _days_from_now(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime.now(datetime.UTC) - _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    issuer: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    # RFC 5280 section 4.2.1.1; Python 3.13 checks as strictly as that by default.
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer)
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(pair: Pair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_new(pair.key, private, 0o600)
    _write_new(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content)
