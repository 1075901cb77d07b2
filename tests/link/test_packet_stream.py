"""Bytes into packets, and nothing read while there is no room."""

from __future__ import annotations

import asyncio

import pytest

from bridge.link import packet_stream
from bridge.link.packet_stream import PacketStream
from bridge.link.transport import open_transport
from tests.link.owned_link import within
from tests.link.transports import serving, settings_for


class _Parser:
    """Takes packets of a length byte and as many bytes, and keeps what it was shown."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.stream: PacketStream
        self.arrived = asyncio.Event()
        self.must_read = False

    def parse(self, data: memoryview) -> int:
        position = 0
        while position < len(data):
            end = position + 1 + data[position] * 100_000
            if end > len(data):
                self.stream.expect(end - position)
                break
            self.packets.append(bytes(data[position:end]))
            position = end
        self.arrived.set()
        return position


def _connected(parser: _Parser) -> PacketStream:
    parser.stream = PacketStream(parser.parse, lambda _: None, lambda: parser.must_read)
    return parser.stream


async def test_what_is_not_whole_is_kept_until_the_rest_comes() -> None:
    """A packet larger than the buffer between two small ones, in whatever pieces."""
    sent = [b"\x00", b"\x04" + bytes(400_000), b"\x00", b"\x01" + bytes(100_000)]
    whole = b"".join(sent)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(whole), 70_001):
            writer.write(whole[start : start + 70_001])
            await writer.drain()
        await reader.read(1)

    async with serving(serve) as port:
        parser = _Parser()
        stream = _connected(parser)
        await open_transport(stream, settings_for(port))
        while len(parser.packets) < len(sent):
            parser.arrived.clear()
            await within(parser.arrived.wait())
        stream.abort()
        await within(stream.closed)

    assert parser.packets == sent


async def test_reading_is_paused_until_it_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes meanwhile waits in TCP."""
    monkeypatch.setattr(packet_stream, "LOOK_AGAIN_AFTER_S", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            writer.write(b"\x00")

    async with serving(serve) as port:
        parser = _Parser()
        stream = _connected(parser)
        await open_transport(stream, settings_for(port))
        stream.write(b"x")
        await within(parser.arrived.wait())
        stream.pause_reading()
        stream.pause_reading()
        stream.write(b"x")
        await asyncio.sleep(0.2)
        assert len(parser.packets) == 1

        stream.resume_reading()

        parser.arrived.clear()
        await within(parser.arrived.wait())
        assert len(parser.packets) == 2
        stream.abort()
        await within(stream.closed)


async def test_what_must_be_read_is_read_although_reading_is_paused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind what is held back may stand what makes the room: that is asked now and then."""
    monkeypatch.setattr(packet_stream, "LOOK_AGAIN_AFTER_S", 0.05)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            writer.write(b"\x00")

    async with serving(serve) as port:
        parser = _Parser()
        stream = _connected(parser)
        await open_transport(stream, settings_for(port))
        stream.pause_reading()
        stream.write(b"x")
        parser.must_read = True

        await within(parser.arrived.wait())

        assert not stream.is_paused
        stream.abort()
        await within(stream.closed)


async def test_what_is_written_in_one_turn_leaves_in_one_piece() -> None:
    """And notes that something was sent, for the keep alive."""
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            pieces.put_nowait(data)

    async with serving(serve) as port:
        stream = _connected(_Parser())
        await open_transport(stream, settings_for(port))
        assert not stream.has_written
        for _ in range(3):
            stream.write(b"abc")

        assert await within(pieces.get()) == b"abcabcabc"
        assert stream.has_written
        stream.abort()
        await within(stream.closed)


async def test_the_peer_s_end_is_seen_although_reading_was_paused() -> None:
    """A stop under load does not wait for a time-out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b"goodbye"

    async with serving(serve) as port:
        stream = _connected(_Parser())
        await open_transport(stream, settings_for(port))
        stream.pause_reading()
        stream.write(b"goodbye")
        stream.finish()

        await within(stream.closed)
