"""WebSocket below MQTT: against Mosquitto, and against a server that does as a test tells it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from websockets.frames import Close, Frame, Opcode
from websockets.utils import accept_key

from bridge.errors import ConnectRefused
from bridge.link.tls import TlsSettings
from bridge.link.transport import open_transport
from tests.link.owned_link import within
from tests.link.transports import CONNACK, CONNECT, Recorder, serving, settings_for
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto

_SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\n"
)
_GRANTED = "Sec-WebSocket-Protocol: mqtt\r\n"


class _Peer:
    """The server's end of a connection that is upgraded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.request = ""

    async def upgrade(self, headers: str = _GRANTED) -> None:
        self.request = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        key = self.request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
        self.write((_SWITCH.format(accept=accept_key(key)) + headers + "\r\n").encode())

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        self.write(_frame(opcode, data, fin=fin))

    async def read(self) -> Frame:
        """Return the client's next frame, which must be masked."""
        first, second = await self._reader.readexactly(2)
        assert second & 0x80
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        mask = await self._reader.readexactly(4)
        data = await self._reader.readexactly(size)
        longer = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(data, "big") ^ int.from_bytes(longer, "big")).to_bytes(size, "big")
        return Frame(Opcode(first & 0x0F), plain, bool(first & 0x80))

    async def end(self) -> None:
        """Wait until the client has closed."""
        await within(self._reader.read())


def _frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def _upgraded(
    serve: Callable[[_Peer], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AbstractAsyncContextManager[int]:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(reader, writer)
        await peer.upgrade()
        await serve(peer)

    return serving(run, context)


async def _open(port: int, path: str = "/mqtt", buffer_bytes: int = 100) -> Recorder:
    recorder = Recorder(buffer_bytes)
    await open_transport(recorder, settings_for(port, websocket_path=path))
    return recorder


async def _refused(port: int, connect_timeout_s: float = 10) -> ConnectRefused:
    recorder = Recorder()
    settings = settings_for(port, websocket_path="/mqtt", connect_timeout_s=connect_timeout_s)
    with pytest.raises(ConnectRefused) as refused:
        await open_transport(recorder, settings)
    assert not recorder.is_connected
    assert f"127.0.0.1:{port}" in refused.value.message
    assert refused.value.hint
    assert refused.value.recoverable
    return refused.value


async def test_mosquitto_takes_mqtt_in_frames(tmp_path: Path) -> None:
    """A packet in pieces, and two in one frame: frames mean nothing."""
    with Mosquitto(tmp_path, listeners={"ws": ["protocol websockets"]}) as broker:
        recorder = await _open(broker.ports["ws"])

        recorder.transport.write(CONNECT[:5])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        recorder.transport.write(CONNECT[5:] + b"\xc0\x00")

        await recorder.receive(CONNACK + b"\xd0\x00")
        await recorder.leave()


async def test_a_plain_mqtt_port_is_said_to_be_no_websocket(mosquitto: Mosquitto) -> None:
    """Mosquitto closes the connection on what is no MQTT."""
    error = await _refused(mosquitto.port)

    assert "without an answer to the WebSocket handshake" in error.message


async def test_the_handshake_asks_for_mqtt_at_the_path() -> None:
    """MQTT 5 section 6, RFC 6455 section 4.1."""
    requests: list[str] = []

    async def serve(peer: _Peer) -> None:
        requests.append(peer.request)
        await peer.end()

    async with _upgraded(serve) as port:
        await (await _open(port, "/a/b%20c")).leave()

    (request,) = requests
    assert request.startswith("GET /a/b%20c HTTP/1.1\r\n")
    assert "Sec-WebSocket-Protocol: mqtt\r\n" in request
    assert f"Host: 127.0.0.1:{port}\r\n" in request


async def test_what_is_written_in_one_turn_is_one_frame() -> None:
    """A frame for each acknowledgement would cost more than the acknowledgement."""
    frames: list[Frame] = []

    async def serve(peer: _Peer) -> None:
        frames.extend([await peer.read(), await peer.read()])
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = await _open(port)
        recorder.transport.write(b"one ")
        recorder.transport.writelines([b"two ", bytearray(b"three")])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        recorder.transport.write(memoryview(b"four"))
        recorder.transport.close()
        await within(recorder.lost)

    assert [(frame.opcode, bytes(frame.data)) for frame in frames] == [
        (Opcode.BINARY, b"one two three"),
        (Opcode.BINARY, b"four"),
    ]


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
async def test_fragments_and_pings_between_them_are_taken(piece_bytes: int) -> None:
    """However the bytes of the frames are cut on their way."""
    answers: list[Frame] = []
    data = bytes(range(256)) * 2
    frames = [
        _frame(Opcode.BINARY, data[:100], fin=False),
        _frame(Opcode.PING, b"still there?"),
        _frame(Opcode.CONT, data[100:101], fin=False),
        _frame(Opcode.CONT, b"", fin=False),
        _frame(Opcode.CONT, data[101:400]),
        _frame(Opcode.BINARY, data[400:]),
    ]

    async def serve(peer: _Peer) -> None:
        wire = b"".join(frames)
        for start in range(0, len(wire), piece_bytes):
            peer.write(wire[start : start + piece_bytes])
            await asyncio.sleep(0)
        answers.append(await peer.read())
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = await _open(port)
        await recorder.receive(data)
        await recorder.leave()

    assert answers == [Frame(Opcode.PONG, b"still there?")]


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
async def test_large_messages_pass_both_ways(tmp_path: Path, secure: bool) -> None:
    """300 kB, in frames of their own and in pieces."""
    context, tls = None, None
    if secure:
        authority = Authority(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
        tls = TlsSettings(authority.file)
    data = bytes(range(250)) * 1200

    async def serve(peer: _Peer) -> None:
        peer.send(Opcode.BINARY, (await peer.read()).data)
        await peer.end()

    async with _upgraded(serve, context) as port:
        recorder = Recorder(4096)
        await open_transport(recorder, settings_for(port, tls=tls, websocket_path="/mqtt"))
        recorder.transport.write(data)
        await recorder.receive(data)
        await recorder.leave()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (_frame(Opcode.BINARY, b"x" * 50)[:20], "without a WebSocket close frame"),
        (b"", "without a WebSocket close frame"),
        (_frame(Opcode.CLOSE, Close(1008, "go away").serialize()), "go away"),
        (_frame(Opcode.TEXT, b"x"), "MQTT needs binary frames"),
        (_frame(Opcode.CONT, b"x"), "unexpected continuation frame"),
        (b"\x82\x7f" + (1 << 40).to_bytes(8, "big"), "1009"),
        (b"\xf2\x00", "reserved bits"),
    ],
    ids=["in mid-frame", "no close frame", "close", "text", "continuation", "too large", "bits"],
)
async def test_a_server_that_ends_it_badly_is_told_with_why(sent: bytes, words: str) -> None:
    """After what came whole before it."""

    async def serve(peer: _Peer) -> None:
        peer.send(Opcode.BINARY, b"before")
        peer.write(sent)
        if len(sent) in (0, 20):
            return
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = await _open(port)

        error = await within(recorder.lost)

    assert bytes(recorder.received) == b"before"
    assert isinstance(error, ConnectionError)
    assert words in str(error)


@pytest.mark.parametrize("code", [b"", b"\x03\xe8", b"\x03\xe9bye"], ids=["none", "1000", "1001"])
async def test_a_close_frame_is_answered_and_ends_the_connection(code: bytes) -> None:
    """An orderly end is no error."""
    answers: list[Frame] = []

    async def serve(peer: _Peer) -> None:
        peer.send(Opcode.BINARY, b"last")
        peer.send(Opcode.CLOSE, code)
        answers.append(await peer.read())
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = await _open(port)
        assert await within(recorder.lost) is None

    assert bytes(recorder.received) == b"last"
    assert recorder.eofs == 1
    assert answers == [Frame(Opcode.CLOSE, code)]


async def test_the_end_of_our_side_lets_the_peer_finish() -> None:
    """What it still sends is handed over; nothing more is written."""

    async def serve(peer: _Peer) -> None:
        assert (await peer.read()).data == b"goodbye"
        assert (await peer.read()).opcode is Opcode.CLOSE
        peer.send(Opcode.BINARY, b"and to you")
        peer.send(Opcode.CLOSE)
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = await _open(port)
        recorder.transport.write(b"goodbye")
        assert recorder.transport.can_write_eof()
        recorder.transport.write_eof()
        recorder.transport.write(b"too late")

        assert recorder.transport.is_closing()
        assert await within(recorder.lost) is None

    assert bytes(recorder.received) == b"and to you"


async def test_a_peer_that_does_not_answer_our_close_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It must not hold anything up."""
    monkeypatch.setattr("bridge.link.websocket.CLOSE_TIMEOUT_S", 0.05)

    async with _upgraded(_Peer.end) as port:
        recorder = await _open(port)
        recorder.transport.close()

        await within(recorder.lost)


async def test_reading_can_be_paused() -> None:
    """What was read before is kept, and handed over first."""

    async def serve(peer: _Peer) -> None:
        peer.send(Opcode.BINARY, b"x" * 250)
        assert (await peer.read()).data == b"go on"
        peer.send(Opcode.BINARY, b"y")
        await peer.end()

    async with _upgraded(serve) as port:
        recorder = Recorder()
        take = recorder.buffer_updated

        def take_and_pause(nbytes: int) -> None:
            take(nbytes)
            if len(recorder.received) == 100:
                recorder.transport.pause_reading()
                recorder.transport.write(b"go on")

        recorder.buffer_updated = take_and_pause  # type: ignore[method-assign]
        await open_transport(recorder, settings_for(port, websocket_path="/mqtt"))
        while not recorder.received:
            await asyncio.sleep(0)
        assert not recorder.transport.is_reading()
        assert len(recorder.received) == 100

        recorder.transport.resume_reading()

        await recorder.receive(b"x" * 250 + b"y")
        await recorder.leave()


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "status 401", "wants a login"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "404 'Not Found'", "the path"),
        ("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", "status 301", "redirections"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503", "comes back"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "status 200", "check host, port and path"),
        ("SSH-2.0-x\r\n", "does not speak WebSocket", "mqtt://"),
        ("x" * 10_000, "does not speak WebSocket", "mqtt://"),
    ],
)
async def test_another_answer_to_the_handshake_is_told(answer: str, words: str, hint: str) -> None:
    """With where to look."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer.encode())
        await reader.read()

    async with serving(serve) as port:
        error = await _refused(port)

    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ("", "does not grant the subprotocol 'mqtt'"),
        ("Sec-WebSocket-Protocol: chat\r\n", "does not grant the subprotocol 'mqtt'"),
    ],
)
async def test_a_server_that_does_not_grant_mqtt_is_left(headers: str, words: str) -> None:
    """MQTT 5 section 6: it is not an MQTT broker then."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(reader, writer)
        await peer.upgrade(headers)
        await peer.end()

    async with serving(serve) as port:
        assert words in (await _refused(port)).message


async def test_a_server_that_is_silent_is_left_in_time() -> None:
    """The time-out is for the handshake as well."""

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as port:
        error = await _refused(port, connect_timeout_s=0.2)

    assert "did not answer the WebSocket handshake within 0.2 s" in error.message
