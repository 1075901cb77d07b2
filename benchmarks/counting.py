"""A connection that sends packets encoded beforehand, and counts PUBACKs by their bytes."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Self, cast

from benchmarks import packets
from benchmarks.reading import PacedReading

WINDOW: Final = 1000
"""Packets of one connection that may wait for the broker's PUBACK, as many clients allow."""


class CountingConnection(asyncio.Protocol):
    """What takes next to no CPU time from what is measured.

    It speaks MQTT 3.1.1, where a PUBACK always has the same size.

    Args:
        client_id: Of the connection.

    Attributes:
        reading: How often it reads.
        acknowledged: PUBACKs that arrived.
    """

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._received_bytes = 0
        self._transport: asyncio.Transport | None = None
        self.reading = PacedReading()
        self.acknowledged = 0

    async def connect(self, port: int) -> Self:
        """Connect to a broker on loopback."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        return self

    def close(self) -> None:
        """Disconnect."""
        if self._transport is not None:
            self._transport.write(packets.DISCONNECT)
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, and open the session."""
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(packets.connect(self._client_id))

    def data_received(self, data: bytes) -> None:
        """Count PUBACKs, and send what they make room for."""
        self._received_bytes += len(data)
        # The first packet is the CONNACK, which is as long as a PUBACK (section 3.2).
        self.acknowledged = max(0, self._received_bytes // packets.PUBACK_BYTES - 1)
        self._send()
        if self._transport is not None:
            self.reading.rest(self._transport)

    def _send(self) -> None:
        raise NotImplementedError
