"""Serves the API inside the bridge's event loop, with uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.api.serving import GRACE_S, Server, running
from bridge.config_http import HttpConfig, parse_listen
from bridge.errors import HttpError
from bridge.http.app import create_app
from bridge.http.backend import Backend
from bridge.http.certificate import ServerCertificate

IDLE_S: Final = 20
"""How long a connection may be silent between requests, and before the first."""

BACKLOG: Final = 1024

MESSAGE_BYTES_MARGIN: Final = 4096
"""What a message of the WebSocket may hold beside a patch."""


class _Protocol(H11Protocol):
    """Closes a connection that is one too many, or on which nothing is asked."""

    connections_max = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or not."""
        if len(self.connections) >= self.connections_max:
            # So that no close is waited for: it is the peer's memory that is to be held.
            transport.abort()
            self.transport = transport
            self.flow = None  # type: ignore[assignment]
            return
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(IDLE_S, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection, unless it was never taken."""
        if self.flow is not None:
            super().connection_lost(exc)


class _Peer:
    """Notes who really connects, before a proxy's header says who asked it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        client = scope.get("client")
        scope["syncbridge.peer"] = client[0] if client else ""
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def serve_http(backend: Backend, config: HttpConfig) -> AsyncIterator[tuple[str, int]]:
    """Answer requests until the end of the block.

    The block has to end before the pipeline and the store do.

    Args:
        backend: The holder of the twins.
        config: Where to listen, and the bounds; `listen` is set.

    Yields:
        The address and the port that it listens on.

    Raises:
        HttpError: The address or the certificate cannot be used.
    """
    assert config.listen is not None  # noqa: S101 - the caller has looked
    host, port = parse_listen(config.listen)
    listener = _listen(host, port)
    with contextlib.closing(listener):
        server = _make_server(backend, config)
        async with running(server, listener, "http"):
            try:
                yield host, listener.getsockname()[1]
            finally:
                backend.hub.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise HttpError(
            f"HTTP cannot be answered on {host} port {port}: {error.strerror}",
            hint="choose another http.listen",
        ) from error
    return listener


def _make_server(backend: Backend, config: HttpConfig) -> Server:
    app: ASGIApp = create_app(backend, config, time.monotonic)
    if config.proxy is not None:
        # It types ASGI more narrowly than Starlette does.
        trusting = ProxyHeadersMiddleware(cast("Any", app), trusted_hosts=[config.proxy])
        app = cast("ASGIApp", trusting)
    protocol = type("_BoundedProtocol", (_Protocol,), {"connections_max": config.connections})
    settings = uvicorn.Config(
        _Peer(app),
        http=protocol,
        ws="websockets-sansio",
        ws_max_size=config.body_bytes + MESSAGE_BYTES_MARGIN,
        ws_per_message_deflate=True,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
        ssl_certfile=config.certificate_file,
        ssl_keyfile=config.key_file,
    )
    try:
        settings.load()
        if config.certificate_file is not None and config.key_file is not None:
            certificate = ServerCertificate(config.certificate_file, config.key_file)
            settings.ssl = certificate.context
    except (OSError, ssl.SSLError) as error:
        raise HttpError(
            f"the certificate for HTTPS cannot be used: {error}",
            hint="see http.certificate_file and http.key_file",
        ) from error
    return Server(settings)
