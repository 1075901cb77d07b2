"""What the simulator's clients and its connections know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol

from device_sim.broker import Broker

CONNECT_TIMEOUT_S = 10.0
"""For the TCP connection, and again for the broker's answers to CONNECT and SUBSCRIBE."""

KEEPALIVE_S = 60
"""A connection on which nothing came for about this long is given up."""


class Outgoing(Protocol):
    """A message to publish, as `bridge.device` makes them."""

    @property
    def topic(self) -> str:
        """Where to."""

    @property
    def payload(self) -> bytes:
        """What."""

    @property
    def qos(self) -> int:
        """0 or 1."""

    @property
    def retain(self) -> bool:
        """Whether the broker keeps it."""


class Note(NamedTuple):
    """The plainest `Outgoing`."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Client:
    """Who connects.

    Attributes:
        client_id: As the broker knows it.
        subscriptions: Topic filters with their QoS.
        received: Called with topic and payload of each message.
        will: What the broker publishes if the connection breaks.
        clean: The broker forgets what it kept for the client id. False takes up the session that
            there is.
        session_expiry_s: How long the broker keeps the session after the connection; 0 for not at
            all.
        received_retained: Called in place of `received` for what comes flagged as retained: what
            a broker remembers, which may be old where it came back from a snapshot.
    """

    client_id: str
    subscriptions: tuple[tuple[str, int], ...]
    received: Callable[[str, bytes], None]
    will: Outgoing | None = None
    clean: bool = True
    session_expiry_s: int = 0
    received_retained: Callable[[str, bytes], None] | None = None

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Hand over a message."""
        received = self.received_retained if retained else None
        (received or self.received)(topic, payload)


class Publisher(Protocol):
    """Where a client's messages go."""

    def publish(self, message: Outgoing) -> None:
        """Send a message; nothing happens where the connection has ended."""


class Connection(Publisher, Protocol):
    """One connection, from its start to its end; a new one is another object.

    So what an old connection still had to say is never sent on a new one.
    """

    @property
    def lost(self) -> asyncio.Event:
        """Set when the connection has ended, whoever ended it."""

    @property
    def is_open(self) -> bool:
        """It stands and its subscriptions are granted."""

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe once more: the broker sends what is retained there."""

    def disconnect(self) -> None:
        """Begin to disconnect in good order, without the last will."""

    async def close(self) -> None:
        """Disconnect in good order, without the last will; idempotent."""

    def abandon(self) -> None:
        """Close the socket as it is."""

    def stall(self) -> None:
        """From now on nothing comes or goes, and neither side is told."""

    def desert(self) -> None:
        """Take the connection for lost, and leave its socket to the broker."""


class Network(Protocol):
    """What the connections of one event loop share. An async context manager."""

    @property
    def broker(self) -> Broker:
        """Where they lead to."""

    def troubles(self) -> Mapping[str, int]:
        """Return what went wrong without ending a connection, and how often."""

    async def __aenter__(self) -> Network: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def connect(self, client: Client) -> Connection:
        """Connect and subscribe.

        Raises:
            ConnectRefused: The network or the broker said no; `recoverable` tells whether it may
                go otherwise later.
        """
