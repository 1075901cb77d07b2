"""The stream between asyncio and paho-mqtt."""

from __future__ import annotations

import asyncio

import pytest

from bridge.link.paho_stream import PahoStream
from tests.link.owned_link import within


class _Owner:
    """Reads what arrives in pieces of at most three bytes, as paho-mqtt might."""

    def __init__(self) -> None:
        self.stream = PahoStream(self._data, self._lost)
        self.received = bytearray()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def _data(self) -> None:
        while self.stream.unread:
            self.received += self.stream.recv(3)

    def _lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


class _Server:
    """Takes one connection and hands it over."""

    def __init__(self) -> None:
        self.accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.set_result((reader, writer))


async def _connect(
    owner: _Owner,
) -> tuple[asyncio.Server, asyncio.StreamReader, asyncio.StreamWriter]:
    take = _Server()
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.get_running_loop().create_connection(lambda: owner.stream, "127.0.0.1", port)
    reader, writer = await within(take.accepted)
    return server, reader, writer


async def test_bytes_pass_both_ways_until_the_peer_ends() -> None:
    """What is sent leaves at the flush; what comes is read; the end is told."""
    owner = _Owner()
    server, reader, writer = await _connect(owner)
    async with server:
        owner.stream.send(b"one ")
        owner.stream.send(b"two")
        owner.stream.flush()
        assert await within(reader.readexactly(7)) == b"one two"
        writer.write(b"0123456789")
        writer.close()

        assert await within(owner.lost) is None

    assert owner.received == b"0123456789"
    assert owner.stream.closed.done()
    assert not owner.stream.is_connected


async def test_nothing_to_read_is_said_as_a_socket_says_it() -> None:
    """paho-mqtt then waits for the next call."""
    with pytest.raises(BlockingIOError):
        _Owner().stream.recv(1)


async def test_nothing_is_sent_on_a_stream_that_is_not_connected() -> None:
    """As a socket would."""
    stream = _Owner().stream
    with pytest.raises(ConnectionError):
        stream.send(b"x")


async def test_close_sends_what_is_left_and_waits_for_the_peer() -> None:
    """Reset with something unread in it, the connection would lose our last words."""
    owner = _Owner()
    server, reader, writer = await _connect(owner)
    async with server:
        writer.write(b"x" * 200_000)
        owner.stream.send(b"last words")
        owner.stream.close()
        owner.stream.close()

        assert await within(reader.read()) == b"last words"
        assert owner.stream.is_connected
        with pytest.raises(ConnectionError):
            owner.stream.send(b"more")
        writer.close()

        assert await within(owner.lost) is None
        await writer.wait_closed()


async def test_abort_ends_the_connection_without_the_peer() -> None:
    """A dead one must not hold anything up."""
    owner = _Owner()
    server, _, writer = await _connect(owner)
    async with server:
        owner.stream.abort()

        await within(owner.stream.closed)
        writer.close()
