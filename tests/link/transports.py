"""What the tests of the transports are made of: a protocol that keeps what comes, and servers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from bridge.link.base import LinkSettings
from tests.link.owned_link import within

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd"
"""Of MQTT 3.1.1."""

CONNACK = b"\x20\x02\x00\x00"
"""Its answer."""


class Recorder(asyncio.BufferedProtocol):
    """An inner protocol that keeps what it is told; its buffer is small on purpose."""

    def __init__(self, buffer_bytes: int = 100) -> None:
        self.transport: asyncio.Transport
        self.is_connected = False
        self.received = bytearray()
        self.eofs = 0
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._buffer = memoryview(bytearray(buffer_bytes))
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert not self.is_connected
        self.is_connected = True
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the buffer."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Keep what came."""
        assert nbytes
        self.received += self._buffer[:nbytes]
        self._arrived.set()

    def eof_received(self) -> bool:
        """Count."""
        self.eofs += 1
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep why; twice is an error."""
        self.lost.set_result(exc)

    async def receive(self, data: bytes) -> None:
        """Wait for exactly these bytes, and forget them."""

        async def arrived() -> None:
            while len(self.received) < len(data):
                self._arrived.clear()
                await self._arrived.wait()

        await within(arrived())
        assert bytes(self.received) == data
        self.received.clear()

    async def leave(self) -> None:
        """End the connection, and wait for its end."""
        if self.is_connected:
            self.transport.abort()
            await within(self.lost)


def settings_for(port: int, **overrides: Any) -> LinkSettings:
    """Return settings for a server on this machine."""
    return LinkSettings("127.0.0.1", port, "bridge", (), **overrides)


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a server that does as told with each connection; yields its port.

    What goes wrong in `serve` fails the test.
    """
    tasks: list[asyncio.Task[None]] = []

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(run(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await within(asyncio.gather(*tasks))
