"""Reading from a connection less often than something arrives, so that it costs less."""

from __future__ import annotations

import asyncio


class PacedReading:
    """Lets a transport rest after each read.

    A broker that writes each packet by itself wakes its reader for each packet; a reader that rests
    takes many of them at once, and what arrives meanwhile waits in the socket.

    Attributes:
        interval_s: How long it rests; 0: not at all.
    """

    def __init__(self) -> None:
        self.interval_s = 0.0

    def rest(self, transport: asyncio.Transport) -> None:
        """Stop reading for the interval; called when something was read."""
        if self.interval_s and not transport.is_closing():
            transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(self.interval_s, transport.resume_reading)
