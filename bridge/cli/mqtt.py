"""A small blocking MQTT client, for the time of one command.

MQTT 3.1.1, because every broker speaks it, the embedded one too; a client id of its own and a
clean session, because nothing shall stay behind at the broker.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.cli.transport import Transport
from bridge.config import Address, Config
from bridge.errors import LinkError, LinkLost
from bridge.link import reasons

WAITING_MESSAGES = 10_000
"""Messages that may wait for a slow terminal; beyond that the network waits too."""

KEEPALIVE_S = 30
CONNECT_ATTEMPTS = 5
"""Connections in a row that a broker may end at once; a wrong port ends every one."""

RECONNECT_MIN_S = 1
RECONNECT_MAX_S = 15

_NOT_GRANTED = 0x80
"""From here on a code in a SUBACK is a refusal (MQTT 3.1.1 section 3.9.3)."""


class Received(NamedTuple):
    """A message that arrived. `retain`: it was there before we asked."""

    topic: str
    payload: bytes
    retain: bool


class BrokerClient:
    """A connection to the broker. A context manager, to be used by one thread.

    Entering it raises ConnectRefused where no broker answers or it does not let us in. Everything
    raises LinkLost when the connection has ended, unless the client is one that stays.

    Args:
        address: Where the broker listens.
        username: Login; None for anonymous.
        password: Its password.
        transport: What stands between TCP and MQTT.
        timeout_s: How long to wait for the connection, and for each answer of the broker.
        stay: Connect and subscribe again by itself when the connection ends.
        notice: Called by `receive` with a line about the connection, where it stays.
    """

    def __init__(
        self,
        address: Address,
        *,
        username: str | None = None,
        password: str | None = None,
        transport: Transport = Transport(),  # noqa: B008 (immutable)
        timeout_s: float = 10.0,
        stay: bool = False,
        notice: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._address = address
        self._where = f"{address.host}:{address.port}"
        self._username = username
        self._password = password
        self._transport = transport
        self._timeout_s = timeout_s
        self._stay = stay
        self._notice = notice
        self._client_id = f"syncbridge-cli-{secrets.token_hex(8)}"
        # Everything below is shared with paho's thread, under this condition.
        self._changed = threading.Condition()
        self._messages: deque[Received] = deque()
        self._notices: deque[str] = deque(maxlen=10)
        self._answers: set[int] = set()
        self._granted: bool | None = None
        self._filters: dict[str, int] = {}
        self._connected = False
        self._ended = False
        self._closing = False
        self._refusal: LinkError | None = None
        self._paho: paho.Client  # from entering on

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        stay: bool = False,
        notice: Callable[[str], None] = lambda _line: None,
    ) -> BrokerClient:
        """Make a client for the configured broker, or for the embedded one where none is.

        Raises:
            ConfigError: The password's file, or one for TLS, cannot be used.
        """
        return cls(
            config.broker.address or Address("127.0.0.1", config.embedded.port),
            username=config.broker.username,
            password=config.broker.read_password(),
            transport=Transport.from_config(config.broker),
            timeout_s=config.broker.connect_timeout_s,
            stay=stay,
            notice=notice,
        )

    def _make_paho(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=True,
            reconnect_on_failure=self._stay,
            transport="websockets" if self._transport.is_websocket else "tcp",
        )
        self._transport.prepare(client)
        client.username = self._username
        client.password = self._password
        client.connect_timeout = self._timeout_s
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        client.on_socket_open = _send_small_packets_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_answer
        client.on_publish = self._on_answer
        return client

    def __enter__(self) -> BrokerClient:
        for attempt in range(CONNECT_ATTEMPTS, 0, -1):
            try:
                self._connect()
            except LinkError:
                if attempt == 1 or not self._ended or self._refusal is not None:
                    raise
            else:
                break
        return self

    def _connect(self) -> None:
        self._ended = self._closing = False
        self._paho = self._make_paho()
        try:
            self._paho.connect(self._address.host, self._address.port, KEEPALIVE_S)
        except OSError as error:
            unreachable = self._transport.explain(self._where, error)
            unreachable.hint += "; --broker names another one, and `syncbridge run` starts one"
            raise unreachable from error
        self._paho.loop_start()
        try:
            self._await_connack()
            if not self._stay:
                self._make_sure()
        except BaseException:
            self._close()
            raise

    def _make_sure(self) -> None:
        """Wait until the broker has answered a first packet.

        amqtt 0.12.1 ends a connection that it has just accepted if another client subscribes at
        that moment; then it is worth another attempt.
        """
        for _ in self.replay():
            pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._paho.disconnect()
        self._paho.loop_stop()

    def subscribe(self, filters: Sequence[str], *, qos: int = 1) -> None:
        """Subscribe, and wait for the broker's answer.

        Raises:
            LinkError: The broker does not grant one of them, or the connection has ended.
        """
        with self._changed:
            self._filters |= dict.fromkeys(filters, qos)
            self._granted = None
        self._paho.subscribe([(topic_filter, qos) for topic_filter in filters])
        if not self._await_granted():
            raise LinkError(
                f"the broker does not let this user read {' or '.join(filters)}",
                hint="check --username and the broker's access control lists",
                recoverable=False,
            )

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1, and wait for the broker's acknowledgement."""
        sent = self._paho.publish(topic, payload, qos=1, retain=retain)
        self._await_answer(sent.mid, "PUBLISH")

    def replay(self) -> Iterator[Received]:
        """Yield what is retained below the filters subscribed to, and end when all of it came.

        A broker handles the packets of one connection in their order. It must answer an
        UNSUBSCRIBE even where there is nothing to end (MQTT 3.1.1 section 3.10.4), and needs no
        permission for it: when it does, it has sent what was asked for before. Some brokers look
        up retained messages on the side, so it is asked until an answer comes with nothing
        retained before it.
        """
        came = True
        while came:
            came = False
            _, message_id = self._paho.unsubscribe(f"{self._client_id}/nothing")
            while (message := self._next_before(message_id)) is not None:
                came = came or message.retain
                yield message

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Wait for a message; None if none came in time."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._messages:
                self._check_connection()
                while self._notices:
                    self._notice(self._notices.popleft())
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return None
                self._changed.wait(left_s)
            return self._take()

    def _next_before(self, message_id: int | None) -> Received | None:
        """Return the next message, or None if the broker has answered and none is left."""
        with self._changed:
            answered = self._changed.wait_for(
                lambda: self._messages or message_id in self._answers or self._ended,
                self._timeout_s,
            )
            if self._messages:
                return self._take()
            self._check_connection()
            if not answered or message_id is None:
                raise reasons.unanswered(self._where, "UNSUBSCRIBE", self._timeout_s)
            self._answers.remove(message_id)
            return None

    def _take(self) -> Received:
        message = self._messages.popleft()
        # There is room again for the thread that waits in `_on_message`.
        self._changed.notify_all()
        return message

    def _await_connack(self) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._connected or self._refusal or self._ended, self._timeout_s
            )
            if self._refusal is not None:
                raise self._refusal
            if self._ended:
                raise reasons.closed_unanswered(self._where)
            if not self._connected:
                raise reasons.unanswered(self._where, "CONNECT", self._timeout_s)

    def _await_granted(self) -> bool:
        """Wait until the subscriptions are answered, perhaps on a connection made meanwhile."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._granted is not None or self._ended, self._timeout_s
            )
            if self._granted is None:
                self._check_connection()
                raise reasons.unanswered(self._where, "SUBSCRIBE", self._timeout_s)
            return self._granted

    def _await_answer(self, message_id: int, request: str) -> None:
        """Wait until a packet is answered."""
        with self._changed:
            self._changed.wait_for(
                lambda: message_id in self._answers or self._ended, self._timeout_s
            )
            if message_id not in self._answers:
                self._check_connection()
                raise reasons.unanswered(self._where, request, self._timeout_s)
            self._answers.remove(message_id)

    def _check_connection(self) -> None:
        if self._refusal is not None and not self._refusal.recoverable:
            raise self._refusal
        if self._ended:
            raise LinkLost(
                f"the broker at {self._where} closed the connection",
                hint="look into the broker's log, or try again",
            )

    # What follows is called by paho's thread.

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            if reason.is_failure:
                self._refusal = reasons.refused(self._where, reason.value)
            else:
                if self._filters:
                    client.subscribe(list(self._filters.items()))
                    self._notices.append(f"connected again to the broker at {self._where}")
                self._connected = True
            self._changed.notify_all()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            if self._stay and self._connected:
                self._notices.append(f"the broker at {self._where} is gone; trying again")
            self._connected = False
            self._answers.clear()
            if not self._closing:
                self._ended = not self._stay
            self._changed.notify_all()

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            # Not one of the bridge's: the levels that it lets devices choose are ASCII.
            return
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) < WAITING_MESSAGES or self._closing)
            self._messages.append(Received(topic, bytes(message.payload), message.retain))
            self._changed.notify_all()

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _message_id: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._granted = all(code.value < _NOT_GRANTED for code in codes)
            self._changed.notify_all()

    def _on_answer(
        self,
        _client: paho.Client,
        _userdata: object,
        message_id: int,
        _codes: object,
        _properties: Properties | None,
    ) -> None:
        with self._changed:
            self._answers.add(message_id)
            self._changed.notify_all()


def _send_small_packets_at_once(_client: paho.Client, _userdata: object, sock: object) -> None:
    # Without it a request waits 40 ms for the broker's delayed TCP acknowledgement.
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
