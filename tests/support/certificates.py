"""Certificates for a test: an authority, and what it signs, good and bad. Nothing is downloaded."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of its own.

    Args:
        directory: Where its files go.
        name: What its certificate says.
    """

    def __init__(self, directory: Path, name: str = "authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        public = self._key.public_key()
        builder = _builder(self._name, self._name, public, -1, 1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(_pem(self._certificate))

    def issue(
        self,
        file_name: str,
        *names: str,
        from_days: float = -1,
        to_days: float = 1,
        password: bytes | None = None,
    ) -> Pair:
        """Sign a certificate for host names and addresses, valid between two days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0] if names else file_name)
        builder = _builder(subject, self._name, key.public_key(), from_days, to_days)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        pair = Pair(self._directory / f"{file_name}.pem", self._directory / f"{file_name}.key")
        pair.certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        _write_key(pair.key, key, password)
        return pair


def self_signed(directory: Path, *names: str) -> Pair:
    """Make a certificate that nobody has signed but its own key."""
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(names[0])
    builder = _builder(subject, subject, key.public_key(), -1, 1).add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
    )
    pair = Pair(directory / "self-signed.pem", directory / "self-signed.key")
    pair.certificate.write_bytes(_pem(builder.sign(key, hashes.SHA256())))
    _write_key(pair.key, key, None)
    return pair


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    from_days: float,
    to_days: float,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + from_days * _DAY)
        .not_valid_after(now + to_days * _DAY)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, password: bytes | None) -> None:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
