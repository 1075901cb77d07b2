"""The way to the broker: TCP, over it TLS, over that WebSocket, as the settings say."""

from __future__ import annotations

import asyncio
import socket
import ssl

from websockets.exceptions import InvalidHandshake
from websockets.uri import WebSocketURI

from bridge.errors import ConfigError, LinkError
from bridge.link import reasons, transport_reasons
from bridge.link.base import LinkSettings
from bridge.link.tls import TlsSettings
from bridge.link.websocket import SubprotocolNotGranted, WebSocket

TLS_SHUTDOWN_TIMEOUT_S = 2.0
"""How long the peer may take to answer the end of TLS."""

_SocketAddress = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
_Address = tuple[socket.AddressFamily, _SocketAddress]


async def open_transport(protocol: asyncio.BufferedProtocol, settings: LinkSettings) -> None:
    """Connect, and do the handshakes of TLS and WebSocket where they are asked for.

    When it returns, `protocol.connection_made` has been called, with a transport that takes MQTT
    bytes. All of it may take `settings.connect_timeout_s`. Of the addresses that the name has, the
    first that answers is taken; each may use an equal share of the time that is left, so that one
    that is dead does not stand in the way of the next.

    Raises:
        LinkError: It did not work; `protocol` was not told of any connection.
    """
    loop = asyncio.get_running_loop()
    address = f"{settings.host}:{settings.port}"
    deadline = loop.time() + settings.connect_timeout_s
    try:
        context = None if settings.tls is None else await _read_files(settings.tls, deadline)
    except ConfigError as error:
        raise transport_reasons.unusable_files(address, error) from error
    except OSError as error:
        raise reasons.unreachable(address, error) from error
    try:
        connection = await _connect(settings.host, settings.port, deadline)
    except OSError as error:
        raise reasons.unreachable(address, error) from error
    websocket = _make_websocket(protocol, settings)
    await _start(websocket or protocol, connection, context, settings, deadline)
    if websocket is not None:
        await _upgrade(websocket, settings, deadline)


async def _read_files(tls: TlsSettings, deadline: float) -> ssl.SSLContext:
    # In a thread: the system's list of authorities takes OpenSSL some 20 ms.
    async with asyncio.timeout_at(deadline):
        return await asyncio.get_running_loop().run_in_executor(None, tls.make_context)


async def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Resolve the name and connect.

    Raises:
        OSError: As the resolver or the first address failed; `TimeoutError` at the deadline.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout_at(deadline):
        addresses = await _resolve(host, port)
    failures: list[OSError] = []
    for index, address in enumerate(addresses):
        share_s = (deadline - loop.time()) / (len(addresses) - index)
        try:
            async with asyncio.timeout(share_s):
                return await _connect_to(*address)
        except OSError as error:
            failures.append(error)
    raise failures[0] if failures else OSError(f"{host} has no address")


async def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {error}") from error
    return [(family, address) for family, _, _, _, address in found]


async def _connect_to(family: socket.AddressFamily, address: _SocketAddress) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        # Without it an acknowledgement may wait 40 ms for the one before it.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_websocket(protocol: asyncio.BufferedProtocol, settings: LinkSettings) -> WebSocket | None:
    if settings.websocket_path is None:
        return None
    uri = WebSocketURI(
        secure=settings.tls is not None,
        host=settings.host,
        port=settings.port,
        path=settings.websocket_path,
        query="",
    )
    return WebSocket(protocol, uri)


async def _start(
    protocol: asyncio.BufferedProtocol,
    connection: socket.socket,
    context: ssl.SSLContext | None,
    settings: LinkSettings,
    deadline: float,
) -> None:
    """Give the connection to the protocol; with a context, when TLS stands."""
    loop = asyncio.get_running_loop()
    if settings.tls is None or context is None:
        # Nothing here waits for the network.
        await loop.create_connection(lambda: protocol, sock=connection)
        return
    address = f"{settings.host}:{settings.port}"
    try:
        async with asyncio.timeout_at(deadline):
            await loop.create_connection(
                lambda: protocol,
                sock=connection,
                ssl=context,
                server_hostname=settings.tls.server_name or settings.host,
                # Longer than the time that is left, so that the line above decides.
                ssl_handshake_timeout=settings.connect_timeout_s + 1,
                ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT_S,
            )
    except TimeoutError as error:
        raise reasons.unanswered(
            address, "the TLS handshake", settings.connect_timeout_s
        ) from error
    except OSError as error:
        raise transport_reasons.tls_failed(address, error) from error


async def _upgrade(websocket: WebSocket, settings: LinkSettings, deadline: float) -> None:
    address = f"{settings.host}:{settings.port}"
    path = settings.websocket_path or ""
    try:
        async with asyncio.timeout_at(deadline):
            await websocket.opened
    except BaseException as error:
        websocket.abort()
        refusal = _explain(error, address, path, settings.connect_timeout_s)
        if refusal is None:
            raise
        raise refusal from error


def _explain(error: BaseException, address: str, path: str, timeout_s: float) -> LinkError | None:
    if isinstance(error, TimeoutError):
        return reasons.unanswered(address, "the WebSocket handshake", timeout_s)
    if isinstance(error, SubprotocolNotGranted):
        return transport_reasons.subprotocol_refused(address, path)
    if isinstance(error.__cause__, EOFError):
        return transport_reasons.websocket_ended(address)
    if isinstance(error, InvalidHandshake):
        return transport_reasons.websocket_refused(address, path, error)
    if isinstance(error, ssl.SSLError):
        return transport_reasons.tls_failed(address, error)
    if isinstance(error, OSError):
        return transport_reasons.websocket_ended(address)
    return None
