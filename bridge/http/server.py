"""Serves the API inside the bridge's event loop, with uvicorn."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from bridge.api.metrics import Exposed
from bridge.api.serving import GRACE_S, Server, running
from bridge.config_http import HttpConfig, parse_listen
from bridge.errors import HttpError
from bridge.http.app import create_app
from bridge.http.backend import Backend
from bridge.http.certificate import ServerCertificate
from bridge.http.connection import IDLE_S, BoundedProtocol
from bridge.http.file_limit import make_room

BACKLOG: Final = 1024

STALLED_S: Final = 60
"""How long a client may take nothing of what is sent to it. Then the kernel ends the connection."""

MESSAGE_BYTES_MARGIN: Final = 4096
"""What a message of the WebSocket may hold beside a patch."""


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
async def serve_http(
    backend: Backend, config: HttpConfig, exposed: Exposed | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Answer requests until the end of the block.

    The block has to end before the pipeline and the store do.

    Args:
        backend: The holder of the twins.
        config: Where to listen, and the bounds; `listen` is set.
        exposed: Metrics for `/metrics`; None where there are none.

    Yields:
        The address and the port that it listens on.

    Raises:
        HttpError: The address or the certificate cannot be used.
    """
    assert config.listen is not None  # noqa: S101 - the caller has looked
    host, port = parse_listen(config.listen)
    listener = _listen(host, port)
    with contextlib.closing(listener):
        server = _make_server(backend, config, exposed)
        async with running(server, listener, "http"):
            try:
                yield host, listener.getsockname()[1]
            finally:
                backend.hub.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol: asyncio sends small packets at once only where it sees that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; those that are accepted inherit it.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_S * 1000)
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


def _make_server(backend: Backend, config: HttpConfig, exposed: Exposed | None) -> Server:
    app: ASGIApp = create_app(backend, config, time.monotonic, exposed)
    if config.proxy is not None:
        # It types ASGI more narrowly than Starlette does.
        trusting = ProxyHeadersMiddleware(cast("Any", app), trusted_hosts=[config.proxy])
        app = cast("ASGIApp", trusting)
    bounds = {"connections_max": make_room(config.connections)}
    protocol = type("_Protocol", (BoundedProtocol,), bounds)
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
