"""One connection to the broker under examination, which sees what other clients hide.

It tells what CONNACK grants and how each publish is answered, and can leave what arrives
unacknowledged. paho-mqtt speaks for it, in a thread of its own; MQTT 5 or 3.1.1.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Final, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.doctor.target import Login, Target
from bridge.errors import LinkError, LinkLost
from bridge.link import reasons

KEEPALIVE_S: Final = 60
OUTSTANDING_MAX: Final = 100
"""Publishes of ours that are unanswered at once, where the broker takes so many."""

SETTLE_S: Final = 0.25
"""How long nothing may come until it is taken that nothing will: some brokers look up retained
messages on the side."""

FOREVER_S: Final = 0xFFFFFFFF
"""A session expiry of no end (MQTT 5 section 3.1.2.11.2)."""

_ANY_RECEIVE_MAXIMUM: Final = 65_535


class Arrived(NamedTuple):
    """A message that arrived."""

    topic: str
    payload: bytes
    retain: bool


class Outgoing(NamedTuple):
    """A message to publish, at QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


class Granted(NamedTuple):
    """What CONNACK says (MQTT 5 section 3.2.2; of MQTT 3.1.1 only the first).

    Attributes:
        session_present: The broker had a session.
        receive_maximum: Publishes that it takes unanswered.
        packet_bytes: Largest packet that it takes; None: it names none.
        retained: It offers retained messages.
        shared: It offers shared subscriptions.
    """

    session_present: bool
    receive_maximum: int = _ANY_RECEIVE_MAXIMUM
    packet_bytes: int | None = None
    retained: bool = True
    shared: bool = True


class Probe:
    """A connection. A context manager, to be used by one thread.

    Args:
        target: The broker.
        login: Who connects.
        client_id: Its client id.
        version: Of MQTT: 5, or 4, which is 3.1.1.
        keep_session: Do not start clean, and leave the session behind.
        expiry_s: How long the session that is kept may stay; of MQTT 5.
        receive_maximum: Messages that the broker may send unacknowledged; of MQTT 5.
        acknowledge: How many of the messages that arrive are acknowledged; None: all.

    Attributes:
        granted: What CONNACK says.
        arrived: What has arrived so far.

    Raises:
        LinkError: On entering: there is no connection. Of each method: it has ended, or the
            broker did not answer in time.
    """

    granted: Granted

    def __init__(
        self,
        target: Target,
        login: Login,
        *,
        client_id: str,
        version: int,
        keep_session: bool = False,
        expiry_s: int = 0,
        receive_maximum: int | None = None,
        acknowledge: int | None = None,
    ) -> None:
        self._target = target
        self._client_id = client_id
        self._version = version
        self._keep_session = keep_session
        self._expiry_s = expiry_s
        self._receive_maximum = receive_maximum
        self._acknowledge = acknowledge
        # Everything below is shared with paho's thread, under this condition.
        self._changed = threading.Condition()
        self.arrived: list[Arrived] = []
        self._subscribed: dict[int, int] = {}
        self._unsubscribed: set[int] = set()
        self._published: dict[int, int] = {}
        self._connack: tuple[ReasonCode, Granted] | None = None
        self._ended = False
        self._heard = 0
        self._paho = self._make_paho(login)

    def _make_paho(self, login: Login) -> paho.Client:
        is_5 = self._version == MQTTProtocolVersion.MQTTv5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if is_5 else not self._keep_session,
            protocol=MQTTProtocolVersion(self._version),
            transport="websockets" if self._target.transport.is_websocket else "tcp",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._target.transport.prepare(client)
        client.username = login.username
        client.password = login.password
        # Never reached: `publish_all` keeps to what the broker takes.
        client.max_inflight_messages_set(OUTSTANDING_MAX)
        client.connect_timeout = self._target.timeout_s
        client.on_socket_open = _send_small_packets_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publish = self._on_publish
        return client

    def __enter__(self) -> Probe:
        target = self._target
        try:
            if self._version == MQTTProtocolVersion.MQTTv5:
                self._paho.connect(
                    target.host,
                    target.port,
                    KEEPALIVE_S,
                    clean_start=not self._keep_session,
                    properties=self._connect_properties(),
                )
            else:
                self._paho.connect(target.host, target.port, KEEPALIVE_S)
        except OSError as error:
            raise target.transport.explain(target.where, error) from error
        self._paho.loop_start()
        try:
            self._await_connack()
        except BaseException:
            self.close()
            raise
        return self

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if self._keep_session:
            properties.SessionExpiryInterval = self._expiry_s
        if self._receive_maximum is not None:
            properties.ReceiveMaximum = self._receive_maximum
        return properties

    def _await_connack(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._connack or self._ended, self._target.timeout_s)
            if self._connack is None:
                if self._ended:
                    raise reasons.closed_unanswered(self._target.where)
                raise reasons.unanswered(self._target.where, "CONNECT", self._target.timeout_s)
            reason, self.granted = self._connack
        if reason.is_failure:
            raise reasons.refused(self._target.where, reason.value)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take leave, and wait for the end. Idempotent."""
        self._paho.disconnect()
        self._paho.loop_stop()

    @property
    def has_ended(self) -> bool:
        """The connection is gone."""
        with self._changed:
            return self._ended

    def subscribe(self, topic_filter: str, *, qos: int = 1) -> int:
        """Subscribe; returns the code of SUBACK: the QoS, or a refusal from 0x80 on."""
        _, message_id = self._paho.subscribe(topic_filter, qos)
        self._await(lambda: message_id in self._subscribed, "SUBSCRIBE")
        return self._subscribed[message_id or 0]

    def publish(self, message: Outgoing) -> int:
        """Publish one message at QoS 1; returns the reason code of its PUBACK."""
        ((reason, _count),) = self.publish_all([message]).items()
        return reason

    def publish_all(
        self, messages: Iterable[Outgoing], deadline: float | None = None
    ) -> Counter[int]:
        """Publish at QoS 1; returns how many were answered with each reason code.

        Args:
            messages: What to publish.
            deadline: Of `time.monotonic`: when to begin no further one.
        """
        outstanding_max = min(self.granted.receive_maximum, OUTSTANDING_MAX)
        counted: Counter[int] = Counter()
        outstanding: deque[int] = deque()
        for message in messages:
            if deadline is not None and time.monotonic() > deadline:
                break
            sent = self._paho.publish(message.topic, message.payload, 1, message.retain)
            outstanding.append(sent.mid)
            if len(outstanding) >= outstanding_max:
                counted[self._answer(outstanding.popleft())] += 1
        for message_id in outstanding:
            counted[self._answer(message_id)] += 1
        return counted

    def _answer(self, message_id: int) -> int:
        self._await(lambda: message_id in self._published, "PUBLISH")
        with self._changed:
            return self._published.pop(message_id)

    def settle(self, deadline: float) -> int:
        """Wait until nothing comes any more; returns how many messages have arrived in all.

        A broker handles the packets of one connection in their order, and answers an UNSUBSCRIBE
        even where there is nothing to end: when it does, it has seen all our acknowledgements.

        Args:
            deadline: Of `time.monotonic`.

        Raises:
            LinkError: At the deadline something still came: a count would say nothing.
        """
        while True:
            with self._changed:
                before = len(self.arrived)
            self.fence()
            with self._changed:
                self._changed.wait_for(partial(self._has_more_than, before), SETTLE_S)
                if not self._has_more_than(before):
                    return before
                if time.monotonic() >= deadline:
                    raise LinkError(
                        f"messages still came when the time was over, after {len(self.arrived)}"
                    )

    def _has_more_than(self, count: int) -> bool:
        return len(self.arrived) > count

    def fence(self) -> None:
        """Wait until the broker has handled all that was sent."""
        _, message_id = self._paho.unsubscribe(f"{self._client_id}/nothing")
        self._await(lambda: message_id in self._unsubscribed, "UNSUBSCRIBE")

    def _await(self, is_done: Callable[[], bool], request: str) -> None:
        """Wait for an answer; while other things come, the broker is busy and not silent."""
        with self._changed:
            while not is_done():
                if self._ended:
                    raise LinkLost(
                        f"the broker at {self._target.where} closed the connection after {request}"
                    )
                before = self._heard
                if not self._changed.wait_for(
                    lambda before=before: self._heard > before or self._ended,  # type: ignore[misc]
                    self._target.timeout_s,
                ):
                    raise reasons.unanswered(self._target.where, request, self._target.timeout_s)

    def _notify(self) -> None:
        self._heard += 1
        self._changed.notify_all()

    # What follows is called by paho's thread.

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        said = {} if properties is None else vars(properties)
        granted = Granted(
            bool(flags.session_present),
            said.get("ReceiveMaximum", _ANY_RECEIVE_MAXIMUM),
            said.get("MaximumPacketSize"),
            bool(said.get("RetainAvailable", 1)),
            bool(said.get("SharedSubscriptionAvailable", 1)),
        )
        with self._changed:
            self._connack = (reason, granted)
            self._notify()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._ended = True
            self._notify()

    def _on_message(
        self, client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        with self._changed:
            is_answered = self._acknowledge is None or len(self.arrived) < self._acknowledge
            self.arrived.append(
                Arrived(message.topic, bytes(message.payload), bool(message.retain))
            )
            self._notify()
        if is_answered and message.qos:
            client.ack(message.mid, message.qos)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        message_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._subscribed[message_id] = codes[0].value
            self._notify()

    def _on_unsubscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        message_id: int,
        _codes: object,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._unsubscribed.add(message_id)
            self._notify()

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        message_id: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._published[message_id] = reason.value
            self._notify()


def _send_small_packets_at_once(_client: paho.Client, _userdata: object, sock: object) -> None:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
