"""TLS to the broker, for devices: as the bridge has it."""

from __future__ import annotations

import ssl
from pathlib import Path

from bridge.errors import ConfigError


def make_tls_context(
    ca_file: Path | str | None = None,
    certificate_file: Path | str | None = None,
    key_file: Path | str | None = None,
) -> ssl.SSLContext:
    """Return what `Device` takes as `tls`. Reads the files; blocks.

    The broker's certificate and the host name in it are always checked, and nothing older than TLS
    1.2 is spoken.

    Args:
        ca_file: Certificates in PEM of the authorities to trust; None: those of the system.
        certificate_file: The device's own in PEM, for a broker that asks for one.
        key_file: Its private key in PEM, not encrypted, readable by nobody else.

    Raises:
        ConfigError: A file cannot be read or used; `field` names the argument.
        ValueError: Only one of certificate and key is given.
    """
    from bridge.link.tls import TlsSettings

    try:
        return TlsSettings(_path(ca_file), _path(certificate_file), _path(key_file)).make_context()
    except ConfigError as error:
        # There it has the names of the bridge's settings.
        field = (error.field or "").removeprefix("broker.")
        message = error.message.removeprefix("broker.")
        raise ConfigError(message, field=field, hint=error.hint) from error


def _path(file: Path | str | None) -> Path | None:
    return None if file is None else Path(file)


def why_unreachable(address: str, error: BaseException | None) -> str:
    """Return in words why no connection to host:port came about, as far as it is known."""
    if isinstance(error, ssl.SSLError):
        from bridge.link.transport_reasons import tls_failed

        return tls_failed(address, error).message
    detail = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return f"broker {address} cannot be reached{detail}"
