"""One connection in MQTT 3.1.1, on paho-mqtt.

paho-mqtt is called when bytes have arrived, when something is to be sent, and once a second for its
keep alive; none of its locks is ever waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, LinkLost
from bridge.link import reasons
from bridge.link.base import (
    Answered,
    LinkSettings,
    Message,
    ProtocolVersion,
    Publication,
    Subscription,
)
from bridge.link.connack import Connack
from bridge.link.connection import Connection
from bridge.link.inbox import Inbox
from bridge.link.paho_client import PahoClient
from bridge.link.paho_stream import PahoStream
from bridge.link.publish_window import PublishWindow
from bridge.link.transport import open_transport

MISC_INTERVAL_S = 1.0
"""How often paho-mqtt looks at its keep alive, as it does itself where it has a thread."""


class PahoConnection(Connection):
    """See `Connection`. What is in flight when it ends is not sent again: paho-mqtt cannot."""

    protocol: ClassVar[ProtocolVersion] = "3.1.1"

    def __init__(
        self, settings: LinkSettings, generation: int, inbox: Inbox, window: PublishWindow
    ) -> None:
        super().__init__(settings, generation, inbox, window)
        self._stream: PahoStream = PahoStream(self._read, self._lost)
        self._client = PahoClient(settings, self._stream)
        self._set_callbacks()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Send PUBACK for those of the messages that this connection delivered."""
        if self._ended.done() or not self._accepted.done():
            return
        acknowledge = self._client.ack
        generation = self._generation
        for message in messages:
            if message.qos and message.generation == generation:
                acknowledge(message.packet_id, message.qos)

    # Steps of the handshake, and the end.

    async def _open_stream(self) -> None:
        await open_transport(self._stream, self._settings)

    def _send_connect(self) -> None:
        self._drive(self._client.send_connect)

    def _send_subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        self._drive(self._client.send_subscribe, subscriptions)

    def _send_disconnect(self) -> None:
        self._drive(self._client.disconnect)
        self._drive(self._write)

    def _keep_alive(self) -> float:
        self._drive(self._client.loop_misc)
        return MISC_INTERVAL_S

    def _end(self, error: LinkError) -> None:
        super()._end(error)
        self._window.fail_all(error)

    # Publishing.

    def _resume(self, connack: Connack) -> None:
        self._window.limit_to(connack.receive_maximum)
        self._window.fail_all(reasons.session_lost(self._address))

    def _publish(self, publication: Publication, answered: Answered) -> None:
        info = self._client.publish(
            publication.topic, publication.payload, qos=1, retain=publication.retain
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkLost(f"paho-mqtt did not send: {mqtt.error_string(info.rc)}")
        self._window.add(info.mid, publication, answered)

    # What happens to the connection.

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
        _properties: Properties | None,
    ) -> None:
        if self._connack_code is not None:
            self._end(reasons.unintelligible(self._address, ": a second CONNACK"))
            return
        self._connack_code = reason_code.value
        if reason_code.is_failure:
            self._end(reasons.refused(self._address, reason_code.value))
        else:
            self._accepted.set_result(Connack(bool(flags.session_present)))

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _mid: int,
        reason_codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if not self._granted.done():
            self._granted.set_result([code.value for code in reason_codes])

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            # Passed on as a topic that is nobody's, so that it is refused and acknowledged.
            topic = error.object.decode(errors="replace")
        taken = self._inbox.put(
            Message(
                topic,
                bytes(message.payload),
                message.qos,
                message.retain,
                self._generation,
                message.mid,
                dup=message.dup,
            )
        )
        if not taken:
            self._overrun()

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        _reason_code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._window.acknowledged(mid, None)

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason_code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._closing:
            return
        code = reason_code.value
        error: LinkError
        if code == reasons.KEEP_ALIVE_TIMEOUT:
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
