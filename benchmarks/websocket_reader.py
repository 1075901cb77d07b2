"""A WebSocket client that only reads: a thousand of them must not cost more than the bridge.

It knows what the bridge sends here: whole text frames without compression (RFC 6455, section 5.2).
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import Final

_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127


class WebSocketReader(asyncio.Protocol):
    """One connection; made by `open_reader`.

    Args:
        path: What is asked for.
        on_text: Called with the text of each message.

    Attributes:
        opened: Done when the server has agreed.
        closed: Why the connection ended; None while it has not.
    """

    def __init__(self, path: str, on_text: Callable[[bytes], None]) -> None:
        self._path = path
        self._on_text = on_text
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of TCP
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {self._path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        )
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self._received += data
        if not self.opened.done():
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._end(head.partition(b"\r\n")[0].decode())
                return
            self._received = rest
            self.opened.set_result(None)
        while self._take_frame():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end(str(exc) if exc else "the connection ended")

    def close(self) -> None:
        """End the connection."""
        self.closed = self.closed or "by its owner"
        if self._transport is not None:
            self._transport.abort()

    def _end(self, reason: str) -> None:
        self.closed = self.closed or reason
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(reason))

    def _take_frame(self) -> bool:
        received = self._received
        if len(received) < 2:
            return False
        kind, size, begin = received[0], received[1], 2
        if size == _TWO_BYTES:
            begin = 4
        elif size == _EIGHT_BYTES:
            begin = 10
        if len(received) < begin:
            return False
        if begin == 4:
            (size,) = struct.unpack_from(">H", received, 2)
        elif begin == 10:
            (size,) = struct.unpack_from(">Q", received, 2)
        if len(received) < begin + size:
            return False
        payload = bytes(received[begin : begin + size])
        del received[: begin + size]
        if kind == _TEXT:
            self._on_text(payload)
        elif kind == _PING and self._transport is not None:
            # Masked with zeros: the payload as it is.
            self._transport.write(bytes((_PONG, 0x80 | size)) + bytes(4) + payload)
        elif kind == _CLOSE:
            self._end(payload[2:].decode())
        return True


async def open_reader(port: int, path: str, on_text: Callable[[bytes], None]) -> WebSocketReader:
    """Connect on loopback, and wait until the server has agreed.

    Raises:
        OSError: It has not.
    """
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(
        lambda: WebSocketReader(path, on_text), "127.0.0.1", port
    )
    await reader.opened
    return reader
