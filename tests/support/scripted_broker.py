"""A TCP server that behaves as a test tells it to, packet by packet.

For what a real broker does not do on demand: broken packets, silence, odd limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple

CONNECT = 1
PUBLISH = 3
PUBACK = 4
SUBSCRIBE = 8
PINGREQ = 12
DISCONNECT = 14


class Packet(NamedTuple):
    """One packet of a client: its type (MQTT 5 section 2.1.2), flags, and what follows."""

    kind: int
    flags: int
    body: bytes

    @property
    def protocol_level(self) -> int:
        """Of a CONNECT: 4 is MQTT 3.1.1 and 5 is MQTT 5."""
        assert self.kind == CONNECT
        return self.body[6]

    @property
    def packet_id(self) -> int:
        """Of a PUBLISH of QoS 1, a PUBACK or a SUBSCRIBE."""
        start = 0
        if self.kind == PUBLISH:
            start = 2 + int.from_bytes(self.body[:2], "big")
        return int.from_bytes(self.body[start : start + 2], "big")


class Peer:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> Packet:
        """Return the client's next packet.

        Raises:
            asyncio.IncompleteReadError: The client closed the connection.
        """
        (first,) = await self._reader.readexactly(1)
        length = shift = 0
        while True:
            (digit,) = await self._reader.readexactly(1)
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                break
        return Packet(first >> 4, first & 0x0F, await self._reader.readexactly(length))

    async def expect(self, kind: int) -> Packet:
        """Return the next packet of this type, whatever comes before it."""
        while True:
            packet = await self.read()
            if packet.kind == kind:
                return packet

    def send(self, *packets: bytes) -> None:
        """Send bytes, whole packets or not."""
        self._writer.write(b"".join(packets))

    async def accept(self, *, properties: bytes = b"", session_present: bool = False) -> Packet:
        """Answer CONNECT with success, and return it."""
        connect = await self.expect(CONNECT)
        self.send(connack(0, connect.protocol_level, properties, session_present=session_present))
        return connect

    async def accept_all(self, *, properties: bytes = b"") -> Packet:
        """Answer CONNECT and the SUBSCRIBE that follows with success; returns the CONNECT."""
        connect = await self.accept(properties=properties)
        subscribe = await self.expect(SUBSCRIBE)
        count = count_filters(subscribe, connect.protocol_level)
        self.send(suback(subscribe.packet_id, connect.protocol_level, b"\x01" * count))
        return connect

    async def gone(self) -> None:
        """Wait until the client closes the connection."""
        while await self._reader.read(4096):
            pass

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class ScriptedBroker:
    """Listens on loopback and runs `script` for each connection, then closes it.

    Args:
        script: What to do with a connection; gets its number, from 0, too.
    """

    def __init__(self, script: Callable[[Peer, int], Awaitable[None]]) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        self._script = script
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedBroker:
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer, self.connections))
        self.connections += 1
        self._tasks.add(task)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        try:
            await self._script(Peer(reader, writer), number)
        except (asyncio.IncompleteReadError, ConnectionError):
            # The client went away: scripts end where it does.
            return
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def first_connection(
    behaviour: Callable[[Peer], Awaitable[object]],
) -> Callable[[Peer, int], Awaitable[None]]:
    """Return a script that does this with the first connection and serves all others well."""

    async def run(peer: Peer, number: int) -> None:
        if number == 0:
            await behaviour(peer)
            return
        await peer.accept_all()
        await peer.gone()

    return run


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Return a packet with its fixed header."""
    return bytes([kind << 4 | flags]) + variable_integer(len(body)) + body


def variable_integer(value: int) -> bytes:
    """Return a variable byte integer (MQTT 5 section 1.5.5)."""
    encoded = bytearray()
    while True:
        value, digit = divmod(value, 128)
        encoded.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def text(value: str | bytes) -> bytes:
    """Return a string, or bytes that may be none, with their length before them."""
    encoded = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(encoded)) + encoded


def connack(
    code: int, protocol_level: int, properties: bytes = b"", *, session_present: bool = False
) -> bytes:
    """Return a CONNACK; `properties` are encoded already and of MQTT 5 only."""
    body = bytes([session_present, code])
    if protocol_level == 5:
        body += variable_integer(len(properties)) + properties
    return packet(2, body)


def suback(packet_id: int, protocol_level: int, codes: bytes) -> bytes:
    """Return a SUBACK with one code for each filter."""
    properties = b"\0" if protocol_level == 5 else b""
    return packet(9, struct.pack("!H", packet_id) + properties + codes)


def puback(packet_id: int, code: int = 0) -> bytes:
    """Return a PUBACK; with a code other than 0 it is of MQTT 5."""
    body = struct.pack("!H", packet_id)
    return packet(4, body + bytes([code]) if code else body)


def publish(
    topic: str | bytes,
    payload: bytes,
    packet_id: int,
    *,
    protocol_level: int = 5,
    properties: bytes = b"",
) -> bytes:
    """Return a PUBLISH of QoS 1, or of QoS 0 where the packet id is 0."""
    body = text(topic)
    if packet_id:
        body += struct.pack("!H", packet_id)
    if protocol_level == 5:
        body += variable_integer(len(properties)) + properties
    return packet(PUBLISH, body + payload, flags=2 if packet_id else 0)


def disconnect(code: int) -> bytes:
    """Return a DISCONNECT of MQTT 5 with a reason code."""
    return packet(DISCONNECT, bytes([code, 0]))


def count_filters(subscribe: Packet, protocol_level: int) -> int:
    """Return how many filters a SUBSCRIBE holds."""
    position = 3 if protocol_level == 5 else 2  # No client of ours sends properties with it.
    count = 0
    while position < len(subscribe.body):
        position += 2 + int.from_bytes(subscribe.body[position : position + 2], "big") + 1
        count += 1
    return count
