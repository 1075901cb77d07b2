"""TLS to the broker: who it must be, and who we are.

The broker's certificate is always checked, and its host name too; there is no way to switch that
off. All files are read anew for each connection, so that a renewed certificate needs no restart.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError
from bridge.secret_file import NOBODY_ELSE, require_private

FILE_BYTES = 4 * 1024 * 1024
"""Largest file of certificates that is read: twenty times what a system's own list has."""

_CERTIFICATE = "CERTIFICATE-----"
_KEY = "PRIVATE KEY-----"


class _KeyEncryptedError(Exception):
    """OpenSSL asked for the password of a key."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to know the broker, and how it knows us.

    Attributes:
        ca_file: Certificates in PEM of the authorities to trust; None: those of the system.
        certificate_file: Our certificate in PEM, with the intermediate ones after it, for a
            broker that asks for one; None: we have none.
        key_file: Its private key in PEM, not encrypted, readable by nobody else.
        server_name: The name that the broker's certificate must be for; None: the host.

    Raises:
        ValueError: Only one of certificate and key is given.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file come together")

    def make_context(self) -> ssl.SSLContext:
        """Read the files. Blocks.

        Raises:
            ConfigError: One cannot be read or used; `field` names its setting.
        """
        # Not `ssl.create_default_context`: how strict that is differs between versions of Python.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _Socket
        if self.ca_file is None:
            context.load_default_certs()
        else:
            _load_authorities(context, self.ca_file)
        if self.certificate_file is not None and self.key_file is not None:
            _load_certificate(context, self.certificate_file, self.key_file)
        return context


class _Socket(ssl.SSLSocket):
    """Closes itself where the handshake fails: paho-mqtt leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """As in `ssl`."""
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    _require_pem("broker.ca_file", path, _CERTIFICATE)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        raise _unusable("broker.ca_file", path, error) from error


def _load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    _require_pem("broker.certificate_file", certificate, _CERTIFICATE)
    _require_private(key)
    _require_pem("broker.key_file", key, _KEY)
    try:
        # The same check as OpenSSL's below, which does not say which of the two files it means.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except (OSError, ValueError) as error:
        raise _unusable("broker.certificate_file", certificate, error) from error
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except _KeyEncryptedError as error:
        raise ConfigError(
            f"broker.key_file: {key} is encrypted, and nobody is there to type its password",
            field="broker.key_file",
            hint="decrypt it with `openssl pkey`, and keep it readable for the bridge only",
        ) from error
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"broker.key_file: {key} is not the key of the certificate in {certificate}",
                field="broker.key_file",
                hint="name the key that the certificate was requested with",
            ) from error
        raise _unusable("broker.key_file", key, error) from error
    except (OSError, ValueError) as error:
        raise _unusable("broker.key_file", key, error) from error


def _refuse_password() -> str:
    raise _KeyEncryptedError


def _require_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _unreadable("broker.key_file", path, error) from error
    require_private("broker.key_file", path, mode, NOBODY_ELSE)


def _require_pem(field: str, path: Path, marker: str) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(field, path, error) from error
    if len(content) > FILE_BYTES:
        raise ConfigError(f"{field}: {path} is larger than {FILE_BYTES} bytes", field=field)
    if marker.encode() not in content:
        kind = "private key" if marker == _KEY else "certificate"
        raise ConfigError(
            f"{field}: {path} holds no {kind} in PEM",
            field=field,
            hint=f"a line of such a file ends in {marker}; DER can be converted with openssl",
        )


def _unreadable(field: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{field}: {path} cannot be read: {error.strerror or error}",
        field=field,
        hint="check the path, and that the bridge's user may read it",
    )


def _unusable(field: str, path: Path, error: Exception) -> ConfigError:
    detail = getattr(error, "reason", None) or str(error)
    return ConfigError(
        f"{field}: {path} cannot be used: {detail}",
        field=field,
        hint="check that it is whole and in PEM",
    )
