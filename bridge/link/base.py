"""The link: what the rest of the bridge may know of an MQTT connection.

One interface, `Link`, and one contract suite (`tests/link/`), which every implementation passes
against a real broker. Nothing above this package knows a client library.

A link connects by itself, again and again, with the same client id and a session that is never
started clean. Everything that belongs to one connection carries that connection's *generation*:
an acknowledgement for an older one is dropped, because packet ids are used again and it would
confirm another message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from bridge.errors import LinkError
from bridge.link.tls import TlsSettings

ProtocolVersion = Literal["5", "3.1.1"]

Answered = Callable[[LinkError | None], None]
"""Told what became of a publish: None where the broker has acknowledged it."""

MAXIMUM_PACKET_IDS = 65_535
"""Packet ids of one direction (MQTT 5 section 2.2.1): more can never be unacknowledged."""

MAXIMUM_EXPIRY_S = 2**32 - 2
"""Longest session expiry that is finite (MQTT 5 section 3.1.2.11.2)."""


class Message(NamedTuple):
    """One inbound publish. A tuple, because there is one for every update.

    `generation` and `packet_id` say which delivery it was, for `Link.acknowledge`.
    `response_topic` and `correlation_data` are MQTT 5's (sections 3.3.2.3.5 and 3.3.2.3.6).
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    generation: int
    packet_id: int
    response_topic: str | None = None
    correlation_data: bytes | None = None
    dup: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """One outbound publish, always at QoS 1.

    `content_type` and `correlation_data` are sent where the connection speaks MQTT 5.
    """

    topic: str
    payload: bytes
    retain: bool = False
    content_type: str | None = None
    correlation_data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter with its options.

    `retain_handling` as in MQTT 5 section 3.8.3.1 (0: retained messages at every subscribe,
    1: only where the subscription is new); MQTT 3.1.1 always behaves as 0.
    """

    topic_filter: str
    qos: int = 1
    retain_handling: int = 0
    retain_as_published: bool = True


class Backlog(NamedTuple):
    """What has arrived and was not taken yet.

    Attributes:
        messages: How many messages.
        size_bytes: About what they keep in memory.
        waited_s: How long the first of what was taken last had waited, at least: where the take
            before had left it behind, since then.
    """

    messages: int
    size_bytes: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """What the broker granted with one connection.

    Attributes:
        generation: Number of the connection in this process, from 1.
        session_present: The broker still had the session.
        protocol: The version of MQTT that is spoken.
        refused_filters: Subscriptions that the broker did not grant, or at a lower QoS than was
            asked for, with its reason. The owner logs them, who knows what will be missing.
    """

    generation: int
    session_present: bool
    protocol: ProtocolVersion
    refused_filters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How to reach the broker, and the limits of the connection.

    Attributes:
        host: Name or address of the broker.
        port: Its TCP port.
        client_id: What the broker ties the session to; never empty.
        subscriptions: Filters that are subscribed to at every connection.
        username: User to log in as; None: anonymous.
        password: Not shown by `repr`.
        will: Makes, for each attempt to connect, what the broker publishes, at QoS 1, when that
            connection ends without `Link.stop`.
        protocol: "auto" finds out what the broker speaks, MQTT 5 first.
        keepalive_s: Silence after which the peer is asked for a sign of life; it is taken for
            dead after as long again.
        connect_timeout_s: How long each of these may take: the name, TCP, TLS and WebSocket
            together, the answer to CONNECT, the answer to SUBSCRIBE.
        session_expiry_s: How long the broker keeps the session while nobody is connected.
        receive_maximum: Unacknowledged inbound messages of QoS 1 (MQTT 5 section 3.1.2.11.3);
            MQTT 3.1.1 has no such limit.
        qos0_waiting_maximum: Messages of QoS 0 that may wait in `Link.receive`. More than the
            receive maximum, because a reconnect replays the presence of the whole fleet at once.
        publish_window: Publishes that may wait for their PUBACK; less where the broker says so.
        maximum_packet_bytes: Largest packet that the broker may send (MQTT 5 only).
        backoff_min_s: Shortest pause before another attempt.
        backoff_max_s: Longest pause before another attempt. After a connection that stood longer
            than this, the pauses start from the shortest again.
        tls: How the broker and we are known to each other; None: without TLS.
        websocket_path: Path of the broker's WebSocket, which begins with a slash; None: MQTT
            stands on TCP or TLS itself.

    Raises:
        ValueError: A value is outside what MQTT allows.
    """

    host: str
    port: int
    client_id: str
    subscriptions: tuple[Subscription, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    will: Callable[[], Publication] | None = None
    protocol: ProtocolVersion | Literal["auto"] = "auto"
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0
    session_expiry_s: int = 7 * 24 * 3600
    receive_maximum: int = 4000
    qos0_waiting_maximum: int = 100_000
    publish_window: int = 100
    maximum_packet_bytes: int = 1024 * 1024
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0
    tls: TlsSettings | None = None
    websocket_path: str | None = None

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("port", 1, 65_535),
            ("keepalive_s", 1, 65_535),
            ("session_expiry_s", 1, MAXIMUM_EXPIRY_S),
            ("receive_maximum", 1, MAXIMUM_PACKET_IDS),
            ("publish_window", 1, MAXIMUM_PACKET_IDS - 1),  # One is left for SUBSCRIBE.
            ("maximum_packet_bytes", 1, 268_435_455),
        ):
            value = getattr(self, name)
            if not lowest <= value <= highest:
                raise ValueError(f"{name} is {value}; allowed are {lowest} to {highest}")
        if not self.host or not self.client_id:
            raise ValueError("host and client_id must not be empty")
        if self.websocket_path is not None and not self.websocket_path.startswith("/"):
            raise ValueError(f"websocket_path is {self.websocket_path!r}; it begins with a slash")
        if not 0 < self.backoff_min_s <= self.backoff_max_s:
            raise ValueError(
                f"backoff_min_s is {self.backoff_min_s} and backoff_max_s {self.backoff_max_s}; "
                "allowed is 0 < backoff_min_s <= backoff_max_s"
            )


class LinkListener(Protocol):
    """What a link tells its owner. Called on the event loop; must not block."""

    def connected(self, session: Session) -> None:
        """The connection stands and the subscriptions are answered.

        Messages of this generation may have arrived already and be waiting in `receive`.
        """

    def disconnected(self, error: LinkError) -> None:
        """The connection ended, or an attempt failed; the link tries again unless
        `error.recoverable` is False, in which case it has given up.
        """  # noqa: D205


class Link(Protocol):
    """A connection to a broker that keeps itself up. Used from one event loop only."""

    async def start(self, listener: LinkListener) -> None:
        """Begin to connect, in the background; returns at once. Once per object."""

    async def stop(self) -> None:
        """Disconnect cleanly (no last will) and keep the session at the broker. Idempotent."""

    async def receive(self, max_messages: int, max_bytes: int) -> Sequence[Message]:
        """Wait for at least one message and take what has arrived, in order, up to the bounds.

        A single message larger than `max_bytes` is returned alone. What waits here is bounded: by
        the receive maximum, as the broker waits for acknowledgements, and where it does not, by
        what `bridge.link.inbox` says; QoS 0 messages beyond
        `LinkSettings.qos0_waiting_maximum` waiting ones are dropped and counted in
        `dropped_qos0`. When a connection ends, what waits of QoS 1 is discarded, because the
        broker delivers it again.

        Raises:
            LinkError: The link was stopped, or gave up (`recoverable` is False).
        """

    def drop(self, reason: str) -> None:
        """End the present connection, if there is one, and connect again.

        What was delivered and not acknowledged comes again. `reason` goes to the log.
        """

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for these messages, in this order, if their connection still stands.

        Messages of QoS 0 and of an older generation are passed over in silence: the broker
        delivers the latter again.
        """

    def send(self, publication: Publication, answered: Answered) -> None:
        """Publish, and call `answered` once, on the event loop, when it is known what became of it.

        With None at the broker's PUBACK; with `PublishRefused`; or with `LinkLost`, when the
        connection ended and the broker has lost the session, or the link cannot tell: then the
        caller publishes again, or something newer. Where the session outlives the connection, MQTT
        5 has the publish sent again with DUP (section 4.4), before anything newer.

        Raises:
            LinkLost: There is no connection.
            PublishWindowFull: `publish_slots` is 0.
            ValueError: The topic is empty, has a wildcard or a NUL, or is longer than 65,535
                bytes.
        """

    def publish(self, publication: Publication) -> asyncio.Future[None]:
        """Do as `send`, and return a future in place of the call; it fails with the error.

        Cancelling the future does not take the message back.

        Raises:
            LinkLost: As `send`; and so for the other errors.
        """

    @property
    def publish_slots(self) -> int:
        """How many more publishes fit into the window now; 0 without a connection."""

    @property
    def session(self) -> Session | None:
        """The present connection, or None."""

    @property
    def dropped_qos0(self) -> int:
        """Messages of QoS 0 that were dropped since the start because too many waited."""

    @property
    def backlog(self) -> Backlog:
        """What waits in `receive` now."""

    @property
    def connections(self) -> int:
        """Connections that the broker has accepted since the start and that are over, or stand."""
