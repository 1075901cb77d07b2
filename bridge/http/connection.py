"""One connection of HTTP, with an end to everything that a client can delay."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_S: Final = 20
"""How long a connection may be silent between requests, and before the first."""

HEAD_S: Final = 20
"""How long the head of a request may take from its first byte on."""

BODY_S: Final = 60
"""How long its body may take: enough for 256 KiB over a telephone's slowest line."""


class BoundedProtocol(H11Protocol):
    """Closes a connection that is one too many, and one whose client takes for ever.

    Attributes:
        connections_max: Connections at the same time.
    """

    connections_max = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or say that there are too many."""
        self._deadline: asyncio.TimerHandle | None = None
        self._has_head = False
        if len(self.connections) >= self.connections_max:
            transport.write(
                _answer(HTTPStatus.SERVICE_UNAVAILABLE, "there are too many connections")
            )
            # So that no close is waited for: it is the peer's memory that is to be held.
            transport.abort()
            self.transport = transport
            self.flow = None  # type: ignore[assignment]
            return
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(IDLE_S, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection, unless it was never taken."""
        self._end_deadline()
        if self.flow is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Go on with the next request; a part of it may be there already."""
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        """See to it that a request of which a part is missing has a deadline."""
        state = self.conn.their_state
        is_ours = self.transport.get_protocol() is self and not self.transport.is_closing()
        if not is_ours or state not in (h11.IDLE, h11.SEND_BODY):
            self._end_deadline()
            return
        has_head = state is h11.SEND_BODY
        if self._deadline is not None and has_head == self._has_head:
            return
        self._end_deadline()
        if self.timeout_keep_alive_task is None:
            self._has_head = has_head
            limit_s = BODY_S if has_head else HEAD_S
            self._deadline = self.loop.call_later(limit_s, self._give_up)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or not (self._has_head and cycle.response_started):
            what = "body" if self._has_head else "head"
            detail = f"the {what} of the request did not come in time"
            self.transport.write(_answer(HTTPStatus.REQUEST_TIMEOUT, detail))
        self.transport.close()


def _answer(status: HTTPStatus, detail: str) -> bytes:
    """Return a whole answer, for a connection on which no application answers."""
    body = orjson.dumps(
        {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    )
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        "content-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\n"
        f"retry-after: {IDLE_S}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body
