"""One connection of a link, from TCP to its end: what all versions of MQTT have in common.

Everything happens on the event loop's thread, so that an acknowledgement cannot slip between two
connections.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from bridge.errors import LinkError, LinkLost
from bridge.link import reasons
from bridge.link.base import (
    Answered,
    LinkSettings,
    Message,
    ProtocolVersion,
    Publication,
    Session,
    Subscription,
)
from bridge.link.connack import Connack
from bridge.link.inbox import Inbox
from bridge.link.publish_window import PublishWindow, too_large

CLOSE_TIMEOUT_S = 2.0
"""How long the broker may take to close a connection after our DISCONNECT."""

_Answer = TypeVar("_Answer")


class Stream(Protocol):
    """The bytes of a connection."""

    closed: asyncio.Future[None]
    """Done when the connection is gone."""

    @property
    def is_connected(self) -> bool:
        """There has been a connection and it is not gone."""

    def abort(self) -> None:
        """Close the connection now, whatever is unsent."""


class Connection(ABC):
    """One attempt to connect, and what becomes of it. Used once.

    Args:
        settings: How to connect.
        generation: Number that its messages carry.
        inbox: Where they go.
        window: The publishes in flight; those of an earlier connection too.
    """

    protocol: ClassVar[ProtocolVersion]
    _stream: Stream

    def __init__(
        self, settings: LinkSettings, generation: int, inbox: Inbox, window: PublishWindow
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._generation = generation
        self._inbox = inbox
        self._window = window
        self._address = f"{settings.host}:{settings.port}"
        self._accepted: asyncio.Future[Connack] = loop.create_future()
        self._granted: asyncio.Future[Sequence[int]] = loop.create_future()
        self._ended: asyncio.Future[LinkError] = loop.create_future()
        self._maximum_packet_bytes: int | None = None
        self._session: Session | None = None
        self._closing = False
        self._is_over = False
        self._connack_code: int | None = None

    # What the link asks.

    @property
    def was_accepted(self) -> bool:
        """The broker accepted the connection: its generation is used up."""
        return self._accepted.done()

    @property
    def was_unanswered(self) -> bool:
        """TCP came about, and no answer to CONNECT, or none but `version_refused`."""
        reached = self._stream.is_connected or self._stream.closed.done()
        return reached and (self._connack_code is None or self.version_refused)

    @property
    def version_refused(self) -> bool:
        """The broker said that it does not speak this version."""
        return self._connack_code == reasons.UNSUPPORTED_PROTOCOL_VERSION

    @property
    def session(self) -> Session | None:
        """What was granted, while the connection stands."""
        return None if self._ended.done() else self._session

    @property
    def publish_slots(self) -> int:
        """How many more publishes fit into the window; 0 without a connection."""
        return 0 if self.session is None else self._window.slots

    async def open(self, connack_timeout_s: float) -> Session:
        """Connect and subscribe.

        Args:
            connack_timeout_s: How long to wait for the answer to CONNECT.

        Raises:
            LinkError: It did not work; the connection is to be closed.
        """
        await self._open_stream()
        self._send_connect()
        connack = await self._answer(self._accepted, "CONNECT", connack_timeout_s)
        refused = await self._subscribe(self._settings.subscriptions)
        self._maximum_packet_bytes = connack.maximum_packet_bytes
        self._resume(connack)
        self._session = Session(
            self._generation, connack.session_present, self.protocol, tuple(refused)
        )
        return self._session

    async def hold(self) -> LinkError:
        """Keep the connection up until it ends; returns why."""
        while not self._ended.done():
            interval_s = self._keep_alive()
            await asyncio.wait({self._ended}, timeout=interval_s)
        return self._ended.result()

    async def close(self) -> None:
        """End the connection, with a DISCONNECT if it stands. Idempotent."""
        try:
            if self._accepted.done() and not self._ended.done():
                self._closing = True
                self._send_disconnect()
                await asyncio.wait({self._stream.closed}, timeout=CLOSE_TIMEOUT_S)
        finally:
            self._end(reasons.stopped(self._address))
            self._stream.abort()
            if self._stream.is_connected:
                await self._stream.closed

    def drop(self, reason: str) -> None:
        """End the connection, because the owner wants a new one."""
        self._end(LinkLost(f"the connection to {self._address} was given up: {reason}"))

    def send(self, publication: Publication, answered: Answered) -> None:
        """Publish; see `bridge.link.base.Link.send`."""
        if self._session is None or self._ended.done():
            raise LinkLost(f"there is no connection to the broker at {self._address}")
        topic = publication.topic
        if not topic or "\0" in topic:  # What the codecs let pass, beside an alias or at all.
            raise ValueError(f"not a topic that can be published to: {topic!r}")
        self._window.require_slot()
        refusal = too_large(publication, self._maximum_packet_bytes)
        if refusal is None:
            self._publish(publication, answered)
        else:
            # Later, as every answer: the sender is not done with sending yet.
            asyncio.get_running_loop().call_soon(answered, refusal)

    @abstractmethod
    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for those of the messages that this connection delivered."""

    # What each version does in its own way.

    @abstractmethod
    async def _open_stream(self) -> None:
        """Connect the stream; raises `LinkError`."""

    @abstractmethod
    def _send_connect(self) -> None:
        """Send CONNECT."""

    @abstractmethod
    def _send_subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Send one SUBSCRIBE for all of them."""

    @abstractmethod
    def _send_disconnect(self) -> None:
        """Send DISCONNECT, and the end of the stream."""

    @abstractmethod
    def _resume(self, connack: Connack) -> None:
        """Set the window up for this connection, and see to what was in flight before it."""

    @abstractmethod
    def _publish(self, publication: Publication, answered: Answered) -> None:
        """Send a publish that fits, and enter it in the window.

        Raises:
            ValueError: Nobody may publish to its topic.
        """

    @abstractmethod
    def _keep_alive(self) -> float:
        """See whether the broker is there; returns after how many seconds to look again."""

    # Steps of the handshake.

    async def _subscribe(self, subscriptions: Sequence[Subscription]) -> list[tuple[str, str]]:
        if not subscriptions:
            return []
        self._send_subscribe(subscriptions)
        granted = await self._answer(self._granted, "SUBSCRIBE", self._settings.connect_timeout_s)
        if len(granted) != len(subscriptions):
            self._end(reasons.unintelligible(self._address, ": a SUBACK of another length"))
            raise self._ended.result()
        return [
            (subscription.topic_filter, reasons.granted_name(code))
            for subscription, code in zip(subscriptions, granted, strict=True)
            if code >= reasons.FIRST_FAILURE or code < subscription.qos
        ]

    async def _answer(
        self, future: asyncio.Future[_Answer], request: str, timeout_s: float
    ) -> _Answer:
        either: set[asyncio.Future[Any]] = {future, self._ended}
        done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            self._end(reasons.unanswered(self._address, request, timeout_s))
        if self._ended.done():
            raise self._ended.result()
        return future.result()

    # What happens to the connection.

    def _end(self, error: LinkError) -> None:
        """Note why the connection ended; the first reason counts."""
        if self._ended.done():
            return
        self._is_over = True
        self._ended.set_result(error)
        self._inbox.discard_unacknowledged()

    def _lost(self, error: Exception | None) -> None:
        """Note that the stream has ended."""
        if self._closing:
            self._end(reasons.stopped(self._address))
        elif self._accepted.done():
            self._end(reasons.closed(self._address, self._settings.client_id, error))
        else:
            self._end(reasons.closed_unanswered(self._address, error))

    def _overrun(self) -> None:
        self._end(reasons.overrun(self._address, self._inbox.describe()))
