"""One connection of `PahoLink`, from TCP to its end.

Everything happens on the event loop's thread: paho-mqtt is called when bytes have arrived, when
something is to be sent, and once a second for its keep alive. So an acknowledgement cannot slip
between two connections, and none of paho-mqtt's locks is ever waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, LinkLost
from bridge.link import reasons
from bridge.link.base import (
    LinkSettings,
    Message,
    ProtocolVersion,
    Publication,
    Session,
    Subscription,
)
from bridge.link.connack import Connack, missing_feature, read_connack, server_detail
from bridge.link.inbox import Inbox
from bridge.link.paho_client import PahoClient
from bridge.link.paho_stream import PahoStream
from bridge.link.publish_window import PublishWindow, too_large
from bridge.link.transport import open_transport

MISC_INTERVAL_S = 1.0
"""How often paho-mqtt looks at its keep alive, as it does itself where it has a thread."""

CLOSE_TIMEOUT_S = 2.0
"""How long the broker may take to close a connection after our DISCONNECT."""

_Answer = TypeVar("_Answer")


class PahoConnection:
    """One attempt to connect, and what becomes of it. Used once.

    Args:
        settings: How to connect.
        protocol: Version of MQTT to speak.
        generation: Number that its messages carry.
        inbox: Where they go.
    """

    def __init__(
        self, settings: LinkSettings, protocol: ProtocolVersion, generation: int, inbox: Inbox
    ) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._protocol = protocol
        self._generation = generation
        self._inbox = inbox
        self._address = f"{settings.host}:{settings.port}"
        self._stream = PahoStream(self._read, self._lost)
        self._client = PahoClient(settings, protocol, self._stream)
        self._accepted: asyncio.Future[Connack] = loop.create_future()
        self._granted: asyncio.Future[list[ReasonCode]] = loop.create_future()
        self._ended: asyncio.Future[LinkError] = loop.create_future()
        self._window = PublishWindow(settings.publish_window)
        self._maximum_packet_bytes: int | None = None
        self._session: Session | None = None
        self._closing = False
        self._connack_code: int | None = None
        self._set_callbacks()

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
        settings = self._settings
        await open_transport(self._stream, settings)
        self._drive(self._client.send_connect)
        connack = await self._answer(self._accepted, "CONNECT", connack_timeout_s)
        refused = await self._subscribe(settings.subscriptions)
        self._maximum_packet_bytes = connack.maximum_packet_bytes
        self._window = PublishWindow(min(settings.publish_window, connack.receive_maximum))
        self._session = Session(
            self._generation, connack.session_present, self._protocol, tuple(refused)
        )
        return self._session

    async def hold(self) -> LinkError:
        """Keep the connection up until it ends; returns why."""
        while not self._ended.done():
            self._drive(self._client.loop_misc)
            await asyncio.wait({self._ended}, timeout=MISC_INTERVAL_S)
        return self._ended.result()

    async def close(self) -> None:
        """End the connection, with a DISCONNECT if it stands. Idempotent."""
        try:
            if self._accepted.done() and not self._ended.done():
                self._closing = True
                self._drive(self._client.disconnect)
                self._drive(self._write)
                await asyncio.wait({self._stream.closed}, timeout=CLOSE_TIMEOUT_S)
        finally:
            self._end(reasons.stopped(self._address))
            self._stream.abort()
            if self._stream.is_connected:
                await self._stream.closed

    def drop(self, reason: str) -> None:
        """End the connection, because the owner wants a new one."""
        self._end(LinkLost(f"the connection to {self._address} was given up: {reason}"))

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for those of the messages that this connection delivered."""
        if self._ended.done() or not self._accepted.done():
            return
        acknowledge = self._client.ack
        generation = self._generation
        for message in messages:
            if message.qos and message.generation == generation:
                acknowledge(message.packet_id, message.qos)

    def publish(self, publication: Publication) -> asyncio.Future[None]:
        """Send; see `bridge.link.base.Link.publish`."""
        if self.session is None:
            raise LinkLost(f"there is no connection to the broker at {self._address}")
        self._window.require_slot()
        topic = publication.topic
        if not topic or "\0" in topic:
            raise ValueError(f"not a topic that can be published to: {topic!r}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refusal = too_large(publication, self._maximum_packet_bytes)
        if refusal is not None:
            future.set_exception(refusal)
            return future
        info = self._client.publish(
            topic,
            publication.payload,
            qos=1,
            retain=publication.retain,
            properties=self._client.properties(publication),
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkLost(f"paho-mqtt did not send: {mqtt.error_string(info.rc)}")
        self._window.add(info.mid, topic, future)
        return future

    # Steps of the handshake.

    async def _subscribe(self, subscriptions: tuple[Subscription, ...]) -> list[tuple[str, str]]:
        if not subscriptions:
            return []
        self._drive(self._client.send_subscribe, subscriptions)
        granted = await self._answer(self._granted, "SUBSCRIBE", self._settings.connect_timeout_s)
        if len(granted) != len(subscriptions):
            self._end(reasons.unintelligible(self._address, ": a SUBACK of another length"))
            raise self._ended.result()
        return [
            (subscription.topic_filter, str(code))
            for subscription, code in zip(subscriptions, granted, strict=True)
            if code.value >= 0x80 or code.value < subscription.qos
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
        self._ended.set_result(error)
        self._window.fail_all(LinkLost(error.message, hint=error.hint))
        self._inbox.discard_unacknowledged()

    def _drive(self, call: Callable[..., object], *arguments: object) -> None:
        """Call paho-mqtt; whatever it raises is the end of the connection, never of the loop."""
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - the broker's bytes decide what it may be
            self._end(reasons.unintelligible(self._address, f": {type(error).__name__}: {error}"))

    def _read(self) -> None:
        self._drive(self._read_packets)

    def _read_packets(self) -> None:
        while self._stream.unread and not self._ended.done():
            self._client.loop_read()

    def _write(self) -> None:
        self._drive(self._client.loop_write)
        self._stream.flush()

    def _lost(self, error: Exception | None) -> None:
        if self._closing:
            self._end(reasons.stopped(self._address))
        elif self._accepted.done():
            self._end(reasons.closed(self._address, self._settings.client_id, error))
        else:
            self._end(reasons.closed_unanswered(self._address))

    # What paho-mqtt tells. Nothing here may raise, or block.

    def _set_callbacks(self) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_register_write = self._on_socket_register_write

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._connack_code is not None:
            self._end(reasons.unintelligible(self._address, ": a second CONNACK"))
            return
        self._connack_code = reason_code.value
        missing = missing_feature(properties)
        if reason_code.is_failure:
            detail = server_detail(properties)
            self._end(reasons.refused(self._address, reason_code.value, detail))
        elif missing is not None:
            self._end(reasons.lacks_feature(self._address, missing))
        else:
            self._accepted.set_result(read_connack(flags.session_present, properties))

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _mid: int,
        reason_codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if not self._granted.done():
            self._granted.set_result(reason_codes)

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            # Passed on as a topic that is nobody's, so that it is refused and acknowledged.
            topic = error.object.decode(errors="replace")
        properties = message.properties
        taken = self._inbox.put(
            Message(
                topic,
                bytes(message.payload),
                message.qos,
                message.retain,
                self._generation,
                message.mid,
                getattr(properties, "ResponseTopic", None),
                getattr(properties, "CorrelationData", None),
                message.dup,
            )
        )
        if not taken:
            self._end(reasons.overrun(self._address, self._inbox.describe()))

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        reason_code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._window.acknowledged(mid, str(reason_code) if reason_code.is_failure else None)

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._closing:
            return
        code = reason_code.value
        if flags.is_disconnect_packet_from_server:
            error: LinkError = reasons.ended_by_broker(
                self._address, code, server_detail(properties)
            )
        elif code == reasons.KEEP_ALIVE_TIMEOUT:
            error = reasons.silent(self._address, self._client.keepalive)
        elif code == reasons.PROTOCOL_ERROR:
            error = reasons.unintelligible(self._address)
        else:
            error = reasons.closed(self._address, self._settings.client_id, None)
        self._end(error)

    def _on_socket_register_write(
        self, _client: mqtt.Client, _userdata: object, _stream: mqtt.SocketLike
    ) -> None:
        # Later in this turn of the loop, so that what is sent now leaves in one piece.
        asyncio.get_running_loop().call_soon(self._write)
