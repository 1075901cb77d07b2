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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bridge.errors import LinkError


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


@dataclass(frozen=True, slots=True)
class Session:
    """What the broker granted with one connection.

    Attributes:
        generation: Number of the connection in this process, from 1.
        session_present: The broker still had the session.
        protocol: "5" or "3.1.1".
        refused_filters: Subscriptions that the broker did not grant, with its reason.
    """

    generation: int
    session_present: bool
    protocol: str
    refused_filters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How to reach the broker, and the limits of the connection."""

    host: str
    port: int
    client_id: str
    subscriptions: tuple[Subscription, ...]
    username: str | None = None
    password: str | None = None
    will: Publication | None = None
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0
    session_expiry_s: int = 7 * 24 * 3600
    receive_maximum: int = 1000
    publish_window: int = 100
    maximum_packet_bytes: int = 1024 * 1024
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0


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
        """Begin to connect, in the background; returns at once."""

    async def stop(self) -> None:
        """Disconnect cleanly (no last will) and keep the session at the broker. Idempotent."""

    async def receive(self, max_messages: int, max_bytes: int) -> Sequence[Message]:
        """Wait for at least one message and take what has arrived, in order, up to the bounds.

        A single message larger than `max_bytes` is returned alone. What waits here is bounded by
        the receive maximum, because the broker waits for acknowledgements; QoS 0 messages beyond
        `LinkSettings.receive_maximum` waiting ones are dropped and counted in `dropped_qos0`.

        Raises:
            LinkError: The link was stopped, or gave up (`recoverable` is False).
        """

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for these messages, in this order, if their connection still stands.

        Messages of QoS 0 and of an older generation are passed over in silence: the broker
        delivers the latter again.
        """

    def publish(self, publication: Publication) -> asyncio.Future[None]:
        """Send, and return a future that is done at the broker's PUBACK.

        The future fails with `PublishRefused` or, when the connection ends first, with
        `LinkLost`: a link never sends a publish again by itself, because by then a newer version
        may exist and a retained topic must not go back. The caller publishes again.

        Raises:
            LinkLost: There is no connection.
        """

    @property
    def publish_slots(self) -> int:
        """How many more publishes fit into the window now; 0 without a connection."""

    @property
    def session(self) -> Session | None:
        """The present connection, or None."""
