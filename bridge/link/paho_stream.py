"""A connection that asyncio takes for a protocol and paho-mqtt for a socket.

paho-mqtt reads a packet with at least three calls of `recv` and writes each with one of `send`.
Here both go to memory: asyncio reads up to `READ_BYTES` at once, and everything that was written
during one turn of the event loop leaves in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

READ_BYTES = 64 * 1024
"""Most that is read at once: some hundreds of small messages, a few ms of the event loop."""


class PahoStream(asyncio.BufferedProtocol):
    """One connection.

    Args:
        on_data: Called when there is something to `recv`, until `unread` is False.
        on_lost: Called once, when the connection is gone; with the error, or None at the
            peer's orderly end.

    Attributes:
        closed: Done when the connection is gone.
    """

    def __init__(
        self, on_data: Callable[[], None], on_lost: Callable[[Exception | None], None]
    ) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_data = on_data
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._received = b""
        self._position = 0
        self._unsent: list[bytes | bytearray] = []
        self._closing = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the memory to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand over what was read."""
        if self._closing:
            return
        self._received = bytes(self._buffer[:nbytes])
        self._position = 0
        self._on_data()

    def eof_received(self) -> bool:
        """Let asyncio close the connection: MQTT has no half of one."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._closing = True
        self.closed.set_result(None)
        self._on_lost(exc)

    # What paho-mqtt calls.

    def recv(self, buffer_size: int) -> bytes:
        """Return the next bytes, at most `buffer_size`.

        Raises:
            BlockingIOError: There are none at this moment.
        """
        start = self._position
        data = self._received[start : start + buffer_size]
        if not data:
            raise BlockingIOError
        self._position = start + len(data)
        return data

    def send(self, buffer: bytes | bytearray) -> int:
        """Keep the bytes for the next `flush`; takes all of them.

        Raises:
            ConnectionError: The connection is closing.
        """
        if self._closing or self._transport is None:
            raise ConnectionError("the connection is closing")
        self._unsent.append(buffer)
        return len(buffer)

    def close(self) -> None:
        """Send what is unsent and the end of the stream, and read nothing any more.

        The socket stays open until the peer closes it, or until `abort`: closed with something
        unread in it, it would be reset, and a DISCONNECT on its way could be lost with it.
        """
        if self._closing or self._transport is None:
            return
        self.flush()
        self._closing = True
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def fileno(self) -> int:
        """Return no descriptor: asyncio watches the socket."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the stream never blocks."""

    # What the owner calls.

    @property
    def is_connected(self) -> bool:
        """There has been a connection and it is not gone."""
        return self._transport is not None and not self.closed.done()

    @property
    def unread(self) -> bool:
        """`recv` has something to return."""
        return self._position < len(self._received) and not self._closing

    def flush(self) -> None:
        """Pass on what was written."""
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def abort(self) -> None:
        """Close the connection now, whatever is unsent."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
