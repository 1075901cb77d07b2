"""The server's certificate, read anew when its files have changed."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeAlias

from bridge.errors import ConfigError
from bridge.logs import get_logger
from bridge.secret_file import NOBODY_ELSE, require_private

_Mark: TypeAlias = tuple[tuple[int, int, int], ...]

_log = get_logger("http")


class ServerCertificate:
    """A certificate and its key, as they are at the time of each handshake.

    The files are looked at in every handshake, and read where they have changed. Where they cannot
    be used then, the last ones that could be stay in use, and a warning is logged.

    Args:
        certificate: With its chain, in PEM.
        key: Its private key in PEM, not encrypted, readable by nobody else.

    Attributes:
        context: For the listener.

    Raises:
        ConfigError: The key is readable by others.
        OSError: A file cannot be read or used; `ssl.SSLError` is one.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._mark = self._look()
        self._current = self._read()
        self.context = self._current
        self.context.sni_callback = self._on_hello

    def _on_hello(
        self,
        connection: ssl.SSLSocket | ssl.SSLObject,
        name: str | None,  # noqa: ARG002 - one certificate for all names
        context: ssl.SSLContext,  # noqa: ARG002 - that of the listener
    ) -> None:
        self._renew()
        connection.context = self._current

    def _renew(self) -> None:
        mark = self._look()
        if mark == self._mark:
            return
        # Whatever comes of it, once for each change: anybody can make us look.
        self._mark = mark
        try:
            self._current = self._read()
        except (ConfigError, OSError) as error:
            _log.warning("the certificate was not renewed", error=str(error))
        else:
            _log.info("the certificate was renewed", file=str(self._certificate))

    def _look(self) -> _Mark:
        """Return what changes with the files, their modes too; empty where one is missing."""
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return ()
        return tuple((each.st_ctime_ns, each.st_ino, each.st_size) for each in found)

    def _read(self) -> ssl.SSLContext:
        require_private("http.key_file", self._key, self._key.stat().st_mode, NOBODY_ELSE)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        return context
