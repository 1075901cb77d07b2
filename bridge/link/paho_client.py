"""paho-mqtt's client, made for one connection, and what it takes to publish with it cheaply."""

from __future__ import annotations

import struct
from functools import lru_cache

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.link.base import LinkSettings, ProtocolVersion, Publication, Subscription
from bridge.link.paho_stream import PahoStream

_PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}

# Flags of a PUBLISH (section 3.3.1), and the lengths of what it begins with.
_DUP_BIT = 0x08
_QOS_BITS = 0x06
_QOS_1 = 0x02
_RETAIN_BIT = 0x01
_TOPIC_LENGTH_BYTES = 2
_PACKET_ID_BYTES = 2

_CONTENT_TYPE = 0x03
_CORRELATION_DATA = 0x09


class PahoClient(mqtt.Client):
    """A client for one connection over a stream that is connected already.

    It is used once, so that nothing of an older connection is left in it: no packet id, and no
    publish that it would send again by itself.

    Two inner methods of paho-mqtt are replaced, because it offers no other way: where it gets
    its socket from, and what it does with properties that it cannot read.

    Args:
        settings: Login, client id and last will.
        protocol: Version of MQTT to speak.
        stream: The connection.
    """

    def __init__(
        self, settings: LinkSettings, protocol: ProtocolVersion, stream: PahoStream
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if protocol == "5" else False,
            protocol=_PROTOCOLS[protocol],
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._stream = stream
        self._settings = settings
        # Our own window is the bound. With a limit here, paho-mqtt would search all that is in
        # flight at each acknowledgement; 0 is no limit.
        self.max_inflight_messages_set(0)
        if settings.username is not None:
            self.username_pw_set(settings.username, settings.password)
        if settings.will is not None:
            will = settings.will()
            self.will_set(
                will.topic,
                will.payload,
                qos=1,
                retain=will.retain,
                properties=self.properties(will),
            )

    @property
    def speaks_mqtt5(self) -> bool:
        """The connection has properties and reason codes."""
        return self.protocol == MQTTProtocolVersion.MQTTv5

    def send_connect(self) -> None:
        """Queue CONNECT, for a session that is kept and never started clean."""
        settings = self._settings
        if not self.speaks_mqtt5:
            self.connect(settings.host, settings.port, settings.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_maximum
        properties.MaximumPacketSize = settings.maximum_packet_bytes
        self.connect(
            settings.host,
            settings.port,
            settings.keepalive_s,
            clean_start=False,
            properties=properties,
        )

    def send_subscribe(self, subscriptions: tuple[Subscription, ...]) -> None:
        """Queue one SUBSCRIBE for all of them."""
        if self.speaks_mqtt5:
            self.subscribe([(s.topic_filter, _options(s)) for s in subscriptions])
        else:
            self.subscribe([(s.topic_filter, s.qos) for s in subscriptions])

    def properties(self, publication: Publication) -> Properties | None:
        """Return the properties of a publish; None where there are none, or no MQTT 5."""
        if not self.speaks_mqtt5:
            return None
        if publication.correlation_data is None:
            return _content_type_only(publication.content_type)
        return _PackedProperties(publication.content_type, publication.correlation_data)

    def _create_socket(self) -> mqtt.SocketLike:
        return self._stream

    def _handle_publish(self) -> MQTTErrorCode:
        """Take a publish, and in spite of properties that paho-mqtt finds malformed.

        It refuses some that brokers pass on, a content type with U+FEFF among them. Any device
        could send one, and it would end this connection and, delivered again, each that follows.

        One without properties takes a shorter way: paho-mqtt would build an object for them all
        the same, for half of the time that the whole message takes.
        """
        if self.speaks_mqtt5:
            plain = decode_plain(self._in_packet["command"], self._in_packet["packet"])
            if plain is not None:
                self._handle_on_message(plain)
                return MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            return super()._handle_publish()
        except MalformedPacket:
            self._in_packet["packet"] = without_properties(
                self._in_packet["command"], self._in_packet["packet"]
            )
            return super()._handle_publish()


def decode_plain(command: int, packet: bytes | bytearray) -> mqtt.MQTTMessage | None:
    """Decode a PUBLISH of MQTT 5 at QoS 1 without properties (section 3.3); None for any other.

    Args:
        command: First byte of the fixed header.
        packet: Everything behind the fixed header.
    """
    if command & _QOS_BITS != _QOS_1 or len(packet) < _TOPIC_LENGTH_BYTES:
        return None
    topic_ends = _TOPIC_LENGTH_BYTES + int.from_bytes(packet[:_TOPIC_LENGTH_BYTES])
    properties_start = topic_ends + _PACKET_ID_BYTES
    if len(packet) <= properties_start or packet[properties_start] != 0:
        return None
    message = mqtt.MQTTMessage(
        int.from_bytes(packet[topic_ends:properties_start]),
        bytes(packet[_TOPIC_LENGTH_BYTES:topic_ends]),
    )
    message.qos = 1
    message.dup = bool(command & _DUP_BIT)
    message.retain = bool(command & _RETAIN_BIT)
    message.payload = bytes(packet[properties_start + 1 :])
    return message


def without_properties(command: int, packet: bytes | bytearray) -> bytearray:
    """Return a PUBLISH of MQTT 5, less its properties (section 3.3.2).

    Args:
        command: First byte of the fixed header.
        packet: Everything behind the fixed header.

    Raises:
        MalformedPacket: It is shorter than it says.
    """
    has_packet_id = bool(command & 0x06)
    try:
        (topic_bytes,) = struct.unpack_from("!H", packet)
        properties_start = 2 + topic_bytes + (2 if has_packet_id else 0)
        properties_bytes, length_bytes = _decode_length(packet[properties_start:])
    except struct.error as error:
        raise MalformedPacket("PUBLISH without a topic") from error
    payload_start = properties_start + length_bytes + properties_bytes
    if payload_start > len(packet):
        raise MalformedPacket("PUBLISH ends within its properties")
    return bytearray(packet[:properties_start]) + b"\x00" + packet[payload_start:]


class _PackedProperties(Properties):
    """Properties of a PUBLISH that are encoded once.

    paho-mqtt's own take 40 µs to build and encode, several times what the rest of a publish does.
    """

    def __init__(self, content_type: str | None, correlation_data: bytes | None) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        encoded = b""
        if content_type is not None:
            encoded += _property(_CONTENT_TYPE, content_type.encode())
        if correlation_data is not None:
            encoded += _property(_CORRELATION_DATA, correlation_data)
        object.__setattr__(self, "_packed", _encode_length(len(encoded)) + encoded)

    def pack(self) -> bytes:
        """Return the length of the properties and the properties."""
        packed: bytes = object.__getattribute__(self, "_packed")
        return packed


def _encode_length(length: int) -> bytes:
    encoded: bytes = VariableByteIntegers.encode(length)  # type: ignore[no-untyped-call]
    return encoded


def _decode_length(data: bytes | bytearray) -> tuple[int, int]:
    decoded: tuple[int, int] = VariableByteIntegers.decode(data)  # type: ignore[no-untyped-call]
    return decoded


def _property(identifier: int, value: bytes) -> bytes:
    if len(value) > 65_535:
        raise ValueError(f"a property of {len(value)} bytes; MQTT allows 65,535")
    return struct.pack("!BH", identifier, len(value)) + value


@lru_cache(maxsize=16)  # There are as many content types as encodings.
def _content_type_only(content_type: str | None) -> Properties | None:
    return None if content_type is None else _PackedProperties(content_type, None)


def _options(subscription: Subscription) -> SubscribeOptions:
    return SubscribeOptions(
        qos=subscription.qos,
        retainAsPublished=subscription.retain_as_published,
        retainHandling=subscription.retain_handling,
    )
