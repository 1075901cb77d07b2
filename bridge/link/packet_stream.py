"""A transport that asyncio reads into one buffer, and whole packets taken from there.

Everything that one read has brought is parsed in one go; everything that is written during one
turn of the event loop leaves in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

READ_BYTES: Final = 256 * 1024
"""Most that is read at once: a thousand small messages, a few ms of the event loop."""

SMALLEST_READ_BYTES: Final = 4096
"""Room that is made in the buffer before each read."""

LOOK_AGAIN_AFTER_S: Final = 5.0
"""How often it is asked, while reading is paused, whether something must be read all the same:
more seldom than batches are taken by a pipeline that is only slow."""

FIXED_HEADER_BYTES: Final = 5
"""Most that the fixed header of a packet takes (MQTT 5 section 2.1)."""

Parse = Callable[[memoryview], int]
"""Takes the packets that are whole out of what was read, and returns how many bytes these were."""


class PacketStream(asyncio.BufferedProtocol):
    """The bytes of one connection.

    Args:
        parse: Called with all unparsed bytes whenever some have arrived. What it is given is
            overwritten afterwards.
        on_lost: Called once, when the connection is gone; with the error, or None at the
            peer's orderly end.
        must_read: Asked now and then while reading is paused; True: read once more.

    Attributes:
        closed: Done when the connection is gone.
        has_read: Something has arrived since this was last set to False.
        has_written: Something was sent since this was last set to False.
    """

    def __init__(
        self,
        parse: Parse,
        on_lost: Callable[[Exception | None], None],
        must_read: Callable[[], bool],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.has_read = False
        self.has_written = False
        self._parse = parse
        self._on_lost = on_lost
        self._must_read = must_read
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._unparsed_bytes = 0
        self._unsent: list[bytes] = []
        self._closing = False
        self._looking: asyncio.TimerHandle | None = None

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the memory to read into: what follows the packet that is not whole yet."""
        return self._buffer[self._unparsed_bytes :]

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what was read."""
        self.has_read = True
        if self._closing:
            return
        end = self._unparsed_bytes + nbytes
        parsed = self._parse(self._buffer[:end])
        left = self._unparsed_bytes = end - parsed
        if parsed and left:
            self._buffer[:left] = self._buffer[parsed:end]

    def eof_received(self) -> bool:
        """Let asyncio close the connection: MQTT has no half of one."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        self.closed.set_result(None)
        self._on_lost(exc)

    # What the owner calls.

    @property
    def is_connected(self) -> bool:
        """There has been a connection and it is not gone."""
        return self._transport is not None and not self.closed.done()

    def expect(self, packet_bytes: int) -> None:
        """Make room for a packet of which the beginning has arrived. Called while parsing."""
        if packet_bytes + SMALLEST_READ_BYTES > len(self._buffer):
            larger = memoryview(bytearray(packet_bytes + READ_BYTES))
            larger[: len(self._buffer)] = self._buffer
            self._buffer = larger

    @property
    def is_paused(self) -> bool:
        """Nothing is read at present."""
        return self._looking is not None

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`, or until something must be read."""
        if self._transport is not None and self._looking is None and not self._closing:
            self._transport.pause_reading()
            self._looking = self._loop.call_later(LOOK_AGAIN_AFTER_S, self._look_again)

    def resume_reading(self) -> None:
        """Read on, where reading was paused."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
            if self._transport is not None and not self._closing:
                self._transport.resume_reading()

    def _look_again(self) -> None:
        if self._must_read():
            self.resume_reading()
        else:
            self._looking = self._loop.call_later(LOOK_AGAIN_AFTER_S, self._look_again)

    def write(self, data: bytes) -> None:
        """Send, together with all that is written in this turn of the event loop."""
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(data)

    def flush(self) -> None:
        """Send what was written."""
        if not self._unsent:
            return
        if self._transport is not None and not self._closing:
            self.has_written = True
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def finish(self) -> None:
        """Send what is unsent and the end of the stream, and read nothing any more.

        The socket stays open until the peer closes it, or until `abort`: closed with something
        unread in it, it would be reset, and a DISCONNECT on its way could be lost with it.
        """
        self.flush()
        # Else the peer's end would not be seen.
        self.resume_reading()
        self._closing = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()

    def abort(self) -> None:
        """Close the connection now, whatever is unsent."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
