"""The connection of one device to its broker: paho-mqtt, kept from the rest of the library.

Everything that paho calls back is turned into a `Signal` and handed on, because paho calls with
its own locks held. Nothing here decides anything about the protocol.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from bridge.device.events import OutgoingMessage
from bridge.device.tls import why_unreachable

Protocol: TypeAlias = Literal["3.1.1", "5"]

PUBLISHES_IN_FLIGHT_MAX = 16
"""Publishes without PUBACK: room for a window of reports and some requests, and below the 20 that
brokers allow by default."""

PUBLISHES_WAITING_MAX = 100
"""Publishes in paho at most. Beyond that they are dropped here, and repeated by the session."""

BACKOFF_MIN_S = 1.0
"""Wait before the first attempt to connect again, before jitter."""

BACKOFF_MAX_S = 60.0
"""Wait between attempts at most: a broker that is back is found within a minute."""

STABLE_AFTER_S = 10.0
"""A connection that stood so long was a good one: the wait starts small again. Two clients that
share a client id and end each other's connection never get there."""

CONNECT_TIMEOUT_S = 5.0
"""For TCP and TLS; `stop` may have to wait for it."""

FAREWELL_TIMEOUT_S = 2.0
"""For the broker's PUBACK of the presence that says goodbye."""

PORT_MAX = 65_535
"""16 bits in TCP."""

KEEPALIVE_MAX_S = 65_535
"""16 bits in CONNECT (MQTT 3.1.1, section 3.1.2.10)."""

_BACKOFF_DOUBLINGS_MAX = 16

_logger = logging.getLogger("syncbridge.device")


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted a connection; nothing is subscribed to yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """There is no connection (any more), and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message has arrived."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class BrokerRefused:
    """The broker has refused a subscription or a publish, and keeps the connection."""

    reason: str


Signal: TypeAlias = Connected | Disconnected | Received | BrokerRefused


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How to reach the broker.

    Raises:
        ValueError: A value is out of its range.
    """

    host: str
    port: int
    client_id: str
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None
    protocol: Protocol
    keepalive_s: int

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host is empty: it is the broker's name or address")
        if not 1 <= self.port <= PORT_MAX:
            raise ValueError(f"port {self.port}: 1 to {PORT_MAX}")
        if not 1 <= self.keepalive_s <= KEEPALIVE_MAX_S:
            raise ValueError(f"keepalive_s {self.keepalive_s}: 1 to {KEEPALIVE_MAX_S}")
        if self.protocol not in ("3.1.1", "5"):
            raise ValueError(f"protocol {self.protocol!r}: '3.1.1' or '5'")
        if self.password is not None and self.username is None:
            raise ValueError("password without username: MQTT 3.1.1 (section 3.1.2.9) has none")

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"broker {self.address}"


class Connection:
    """A connection that keeps itself up, from `start` to `stop`.

    Args:
        settings: How to reach the broker.
        will: Returns what the broker publishes when the connection breaks, if anything; asked
            before each.
        deliver: Called with each signal, on paho's thread; may block while it has no room.
        offer: As `deliver`, but drops what there is no room for: it must not block.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        will: Callable[[], OutgoingMessage | None],
        deliver: Callable[[Signal], None],
        offer: Callable[[Signal], None],
    ) -> None:
        self._settings = settings
        self._deliver = deliver
        self._offer = offer
        self._attempts = 0
        self._connected_at: float | None = None
        self._subscribed: frozenset[str] = frozenset()
        self._will = will
        self._client = self._new_client()

    def start(self) -> None:
        """Begin to connect, in the background; returns at once."""
        self._client.connect_async(
            self._settings.host, self._settings.port, self._settings.keepalive_s
        )
        self._client.loop_start()

    def stop(self, farewell: OutgoingMessage | None) -> None:
        """Publish a last message, if there is a connection, and disconnect without the will."""
        if farewell is not None and self._client.is_connected():
            info = self._client.publish(*farewell)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                info.wait_for_publish(FAREWELL_TIMEOUT_S)
        self._client.disconnect()
        # Else paho's thread, told to end, first waits for their acknowledgement.
        self._client.drop_out_messages()
        self._client.loop_stop()
        # Closes the sockets that wake paho's thread: it would leave them to the garbage collector.
        self._client.reinitialise()

    def renew(self) -> None:
        """End the connection as a broken line does; it comes back, with the will of then."""
        opened = self._client.socket()
        if isinstance(opened, socket.socket):
            # It may just have ended by itself.
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def forget_subscriptions(self) -> None:
        """Note that a new connection has none: its session starts clean."""
        self._subscribed = frozenset()

    def subscribe_to(self, topics: Iterable[str]) -> None:
        """Be subscribed to these topics at QoS 1, and to nothing else."""
        wanted = frozenset(topics)
        if wanted == self._subscribed:
            return
        missing = sorted(wanted - self._subscribed)
        surplus = sorted(self._subscribed - wanted)
        if missing:
            self._client.subscribe([(topic, 1) for topic in missing])
        if surplus:
            self._client.unsubscribe(surplus)
        self._subscribed = wanted

    def publish(self, message: OutgoingMessage) -> None:
        """Hand a message to the network; it may be lost, and the session repeats it."""
        self._client.publish(*message)

    def _new_client(self) -> paho.Client:
        settings = self._settings
        is_5 = settings.protocol == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            # The bridge's answers are asked for again and the delta is retained: a session that
            # the broker keeps would only bring what is out of date.
            clean_session=None if is_5 else True,
            protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(settings.username, settings.password)
        if settings.tls is not None:
            client.tls_set_context(settings.tls)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(PUBLISHES_IN_FLIGHT_MAX)
        client.max_queued_messages_set(PUBLISHES_WAITING_MAX)
        client.on_socket_open = _send_without_delay
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        return client

    def _on_pre_connect(self, client: paho.Client, _userdata: object) -> None:
        # Anew each time: a sealed one is taken once.
        if (will := self._will()) is not None:
            client.will_set(*will)

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._deliver(Disconnected(f"{self._settings} refuses the connection: {reason}"))
            return
        # The session publishes everything unanswered again, in order; paho would do so as well.
        client.drop_out_messages()
        self._connected_at = time.monotonic()
        self._deliver(Connected())

    def _on_connect_fail(self, client: paho.Client, _userdata: object) -> None:
        self._back_off(client)
        # paho calls this while it handles the error, which it does not hand on.
        reason = why_unreachable(self._settings.address, sys.exc_info()[1])
        self._deliver(Disconnected(reason))

    def _on_disconnect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        stood_from, self._connected_at = self._connected_at, None
        if stood_from is not None and time.monotonic() - stood_from >= STABLE_AFTER_S:
            self._attempts = 0
        self._back_off(client)
        if stood_from is not None:
            self._deliver(Disconnected(f"{self._settings} has ended the connection: {reason}"))

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            _logger.debug("passed over a message on a topic that is not UTF-8")
            return
        self._deliver(Received(topic, bytes(message.payload)))

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: object,
    ) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self._offer(BrokerRefused(f"a subscription: {refused[0]}"))

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        _packet_id: int,
        reason: ReasonCode,
        _properties: object,
    ) -> None:
        if reason.is_failure:
            self._offer(BrokerRefused(f"a publish: {reason}"))

    def _back_off(self, client: paho.Client) -> None:
        """Choose when paho connects next. Its own delay has no jitter, and a fleet needs one."""
        delay_s: Any = reconnect_delay_s(self._attempts, random.random())  # noqa: S311 (no secret)
        self._attempts += 1
        client.reconnect_delay_set(delay_s, delay_s)


def reconnect_delay_s(attempts: int, chance: float) -> float:
    """Return the wait after so many attempts; `chance` (0 to 1) takes off up to half of it."""
    longest_s: float = min(
        BACKOFF_MIN_S * 2.0 ** min(attempts, _BACKOFF_DOUBLINGS_MAX), BACKOFF_MAX_S
    )
    return longest_s * (1 - chance / 2)


def _send_without_delay(_client: paho.Client, _userdata: object, opened: object) -> None:
    """Set TCP_NODELAY: a report is small, and its acknowledgement is waited for."""
    if isinstance(opened, socket.socket):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
