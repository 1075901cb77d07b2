"""MQTT in a WebSocket connection (MQTT 5 section 6, RFC 6455).

`WebSocket` is the protocol on the wire. It feeds an inner protocol, which knows nothing of it: that
one gets a `WebSocketTransport`, and what it writes in one turn of the event loop leaves as one
frame. Frames and messages mean nothing to MQTT; only their bytes, in their order, do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

SUBPROTOCOL = Subprotocol("mqtt")
"""MQTT 5 section 6, and the same for 3.1.1."""

READ_BYTES = 64 * 1024
"""Most that is read from the wire at once."""

MESSAGE_BYTES = 32 * 1024 * 1024
"""Largest message that is taken, with all its fragments: twice the largest payload that
`limits.payload_bytes` can allow. A frame is held in memory until it is whole."""

UNREAD_BYTES = 16 * 1024 * 1024
"""While so much of ours is unread by the peer, its pings are not answered: someone who only sends
pings must not fill our memory. RFC 6455 section 5.5.3 lets an endpoint pass over pings."""

CLOSE_TIMEOUT_S = 2.0
"""How long the peer may take to answer our close frame."""

_NORMAL = (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD)

_Bytes = bytes | bytearray | memoryview


class WebSocket(asyncio.BufferedProtocol):
    """The client's end of one connection.

    Args:
        inner: What speaks MQTT; its `connection_made` is called when the handshake is done.
        uri: Where the handshake says that it goes.

    Attributes:
        opened: Done when the handshake is; with an `InvalidHandshake` where it was refused, with a
            `ConnectionError` where the connection ended before.
    """

    def __init__(self, inner: asyncio.BufferedProtocol, uri: WebSocketURI) -> None:
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._inner = inner
        self._codec = ClientProtocol(uri, subprotocols=[SUBPROTOCOL], max_size=MESSAGE_BYTES)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._wire: asyncio.Transport | None = None
        self._transport: WebSocketTransport | None = None
        self._unread = memoryview(b"")
        self._unsent: list[_Bytes] = []
        self._unsent_bytes = 0
        self._error: Exception | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self.is_paused = False
        self.is_closing = False
        self._ended_by_peer = False
        self._deaf = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._wire = cast("asyncio.Transport", transport)
        self._codec.send_request(self._codec.connect())
        self._send()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Return the memory to read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take apart what was read, answer pings, and hand over what is MQTT."""
        if self._ended_by_peer:
            return
        self._codec.receive_data(bytes(self._buffer[:nbytes]))
        self._take_events()

    def eof_received(self) -> bool:
        """Let asyncio close the connection; without a close frame that is not an orderly end."""
        self._codec.receive_eof()
        self._take_events()
        if not self.is_closing and not self._ended_by_peer:
            self._error = ConnectionResetError("it ended without a WebSocket close frame")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the end."""
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.is_closing = True
        self._forget_unsent()
        if self._transport is not None:
            self._inner.connection_lost(exc or self._error)
        elif not self.opened.done():
            self.opened.set_exception(exc or self._error or ConnectionResetError("it ended"))

    def pause_writing(self) -> None:
        """Pass on that the peer is slow."""
        if self._transport is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the peer has caught up."""
        if self._transport is not None:
            self._inner.resume_writing()

    # What the transport calls.

    @property
    def wire(self) -> asyncio.Transport:
        """The transport below; only after `connection_made`."""
        assert self._wire is not None  # noqa: S101  asyncio calls it first
        return self._wire

    @property
    def inner(self) -> asyncio.BufferedProtocol:
        """What speaks MQTT."""
        return self._inner

    @property
    def unsent_bytes(self) -> int:
        """What was written in this turn of the event loop."""
        return self._unsent_bytes

    def write(self, data: _Bytes) -> None:
        """Keep bytes for the frame that leaves in this turn of the event loop."""
        if self.is_closing or not data:
            return
        if not self._unsent:
            self._loop.call_soon(self._flush)
        # A view may change before it leaves.
        self._unsent.append(data if isinstance(data, bytes) else bytes(data))
        self._unsent_bytes += len(data)

    def pause(self) -> None:
        """Hand over nothing until `resume`."""
        self.is_paused = True
        self.wire.pause_reading()

    def resume(self) -> None:
        """Hand over again, first what was read before."""
        if not self.is_paused:
            return
        self.is_paused = False
        self.wire.resume_reading()
        if self._unread or self._ended_by_peer:
            self._loop.call_soon(self._deliver)

    def close(self, *, deliver: bool) -> None:
        """Send what is unsent and a close frame; the peer then closes the connection.

        Args:
            deliver: Hand over what still comes until then.
        """
        if not deliver:
            self._become_deaf()
        if self.is_closing:
            return
        self._flush()
        self.is_closing = True
        if self._codec.state is State.OPEN:
            self._codec.send_close(CloseCode.NORMAL_CLOSURE)
        self._send(always=True)
        self._limit_close()

    def abort(self) -> None:
        """End the connection now."""
        self.is_closing = True
        self._forget_unsent()
        if self._wire is not None:
            self._become_deaf()
            self._wire.abort()

    # Steps.

    def _take_events(self) -> None:
        payloads: list[_Bytes] = []
        for event in self._codec.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:
                self._codec.fail(CloseCode.UNSUPPORTED_DATA, "MQTT needs binary frames")
                break
            if event.opcode in (Opcode.BINARY, Opcode.CONT):
                payloads.append(event.data)
        self._send()
        if not self.opened.done():
            self._check_handshake()
        if self._transport is None:
            return
        self._note_end()
        if payloads and not self._deaf:
            self._unread = memoryview(b"".join((self._unread, *payloads)))
        self._deliver()

    def _check_handshake(self) -> None:
        codec = self._codec
        if codec.handshake_exc is not None:
            self.opened.set_exception(codec.handshake_exc)
        elif codec.state is not State.CONNECTING:
            if codec.subprotocol != SUBPROTOCOL:
                self.opened.set_exception(SubprotocolNotGranted())
                return
            self._transport = WebSocketTransport(self)
            self._inner.connection_made(self._transport)
            self.opened.set_result(None)

    def _note_end(self) -> None:
        """See whether the peer has closed, or has broken the rules."""
        received, sent = self._codec.close_rcvd, self._codec.close_sent
        if received is not None:
            self._ended_by_peer = True
            if received.code not in _NORMAL:
                self._error = ConnectionResetError(f"WebSocket close: {str(received)[:200]!r}")
        elif sent is not None and not self.is_closing:
            self._ended_by_peer = True
            self._error = ConnectionAbortedError(f"WebSocket error: {str(sent)[:200]!r}")

    def _deliver(self) -> None:
        """Hand over what came, and then the end, if there was one."""
        while self._unread and not self.is_paused:
            buffer = memoryview(self._inner.get_buffer(len(self._unread)))
            size = min(len(buffer), len(self._unread))
            buffer[:size] = self._unread[:size]
            # Before the call, which may close or abort.
            self._unread = self._unread[size:]
            self._inner.buffer_updated(size)
        if self._ended_by_peer and not self._unread and not self.wire.is_closing():
            self.is_closing = True
            if self._error is None:
                self._inner.eof_received()
            self.wire.close()
            self._limit_close()

    def _flush(self) -> None:
        if not self._unsent:
            return
        data = b"".join(self._unsent)
        self._forget_unsent()
        if not self.is_closing and self._codec.state is State.OPEN:
            self._codec.send_binary(data)
            self._send(always=True)

    def _send(self, *, always: bool = False) -> None:
        frames = [frame for frame in self._codec.data_to_send() if frame]
        if frames and (always or self.wire.get_write_buffer_size() <= UNREAD_BYTES):
            self.wire.write(b"".join(frames))

    def _forget_unsent(self) -> None:
        self._unsent.clear()
        self._unsent_bytes = 0

    def _become_deaf(self) -> None:
        """Hand over nothing any more; but go on reading, for the peer's close frame."""
        self._deaf = True
        self._unread = memoryview(b"")
        self.resume()

    def _limit_close(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.wire.abort)


class SubprotocolNotGranted(InvalidHandshake):
    """The server upgrades to WebSocket, and not for MQTT."""


class WebSocketTransport(asyncio.Transport):
    """What the inner protocol writes to: MQTT bytes, without frames."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__()
        self._websocket = websocket

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection below knows; see `asyncio.BaseTransport`."""
        return self._websocket.wire.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the inner protocol."""
        return self._websocket.inner

    def is_closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self._websocket.is_closing or self._websocket.wire.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; those of one turn of the event loop leave as one frame."""
        self._websocket.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several pieces of bytes."""
        for data in list_of_data:
            self._websocket.write(data)

    def can_write_eof(self) -> bool:
        """Tell that the peer can be told that nothing more comes."""
        return True

    def write_eof(self) -> None:
        """Send what is unsent and a close frame, and go on reading until the peer closes."""
        self._websocket.close(deliver=True)

    def close(self) -> None:
        """Send what is unsent and a close frame, and read nothing any more."""
        self._websocket.close(deliver=False)

    def abort(self) -> None:
        """End the connection now, whatever is unsent."""
        self._websocket.abort()

    def is_reading(self) -> bool:
        """Tell whether what comes is handed over."""
        return not self._websocket.is_paused and not self.is_closing()

    def pause_reading(self) -> None:
        """Hand over nothing until `resume_reading`."""
        self._websocket.pause()

    def resume_reading(self) -> None:
        """Hand over again."""
        self._websocket.resume()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes have not left yet."""
        return self._websocket.unsent_bytes + self._websocket.wire.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the bounds at which writing is paused, the low one and the high one."""
        return self._websocket.wire.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the bounds at which writing is paused."""
        self._websocket.wire.set_write_buffer_limits(high, low)
