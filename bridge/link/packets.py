"""The packets of MQTT 5 that the link sends, and those that the codec does not read.

The codec is `mqtt5`. It is strict, and rightly so with what a broker says itself; but a publish
carries what any device may have written into it. One that the broker passed on and the codec
refuses would end this connection, and, delivered again, each that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Final, NamedTuple

import mqtt5

from bridge.link.base import LinkSettings, Publication, Subscription

PUBLISH: Final = 3
"""Type of a PUBLISH in the fixed header (MQTT 5 section 2.1.2)."""

_QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
_QOS_1: Final = mqtt5.QoS.AT_LEAST_ONCE
_QOS_SHIFT: Final = 1
_DUP_BIT: Final = 0x08
_RETAIN_BIT: Final = 0x01
_CONTINUES: Final = 0x80
_LENGTH_BYTES: Final = 2
_VARIABLE_INTEGER_BYTES: Final = 4
_SHORTEST_HEADER_BYTES: Final = 2

_PUBACK: Final = Struct(">HH")
_PUBACK_HEADER: Final = 0x4002
"""A PUBACK without reason code is a success (section 3.4.2.1): two bytes, and the packet id."""

DISCONNECT: Final = mqtt5.DisconnectPacket().write()
PINGREQ: Final = mqtt5.PingReqPacket().write()


class Incomplete(Exception):
    """More bytes must arrive before there is a packet."""


class MalformedPacket(ValueError):
    """What arrived is not MQTT 5."""


class PlainPublish(NamedTuple):
    """A publish as far as it can be read by anybody."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int
    duplicate: bool


def connect(settings: LinkSettings) -> bytes:
    """Return CONNECT, for a session that is kept and never started clean."""
    will = None
    if settings.will is not None:
        publication = settings.will()
        will = mqtt5.Will(
            publication.topic,
            payload=publication.payload,
            qos=_QOS_1,
            retain=publication.retain,
            content_type=publication.content_type,
            correlation_data=publication.correlation_data,
        )
    return mqtt5.ConnectPacket(
        settings.client_id,
        username=settings.username,
        password=None if settings.password is None else settings.password.encode(),
        clean_start=False,
        will=will,
        keep_alive=settings.keepalive_s,
        session_expiry_interval=settings.session_expiry_s,
        receive_max=settings.receive_maximum,
        max_packet_size=settings.maximum_packet_bytes,
    ).write()


def subscribe(packet_id: int, subscriptions: Sequence[Subscription]) -> bytes:
    """Return one SUBSCRIBE for all of them."""
    filters = [
        mqtt5.TopicFilter(
            subscription.topic_filter,
            max_qos=_QOS[subscription.qos],
            retain_as_published=subscription.retain_as_published,
            retain_handling=mqtt5.RetainHandling(subscription.retain_handling),
        )
        for subscription in subscriptions
    ]
    return mqtt5.SubscribePacket(packet_id, filters).write()


def publish(
    publication: Publication,
    packet_id: int,
    *,
    topic: str,
    alias: int | None = None,
    duplicate: bool = False,
) -> bytes:
    """Return a PUBLISH of QoS 1.

    Args:
        publication: What to publish.
        packet_id: Its packet id.
        topic: Its topic; empty where the alias stands for it.
        alias: The topic's number on this connection (section 3.3.2.3.4), if it has one.
        duplicate: It may have been sent before.

    Raises:
        ValueError: Nobody may publish to this topic, or a property is too long.
    """
    return mqtt5.PublishPacket(
        topic,
        publication.payload,
        qos=_QOS_1,
        retain=publication.retain,
        packet_id=packet_id,
        duplicate=duplicate,
        content_type=publication.content_type,
        correlation_data=publication.correlation_data,
        topic_alias=alias,
    ).write()


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """Return a PUBACK for each, one after the other."""
    pack = _PUBACK.pack
    return b"".join([pack(_PUBACK_HEADER, packet_id) for packet_id in packet_ids])


def packet_length(data: memoryview) -> int:
    """Return how many bytes the packet has that begins here.

    Raises:
        Incomplete: Not even its length has arrived.
        MalformedPacket: Its length has more than four bytes, or more than it needs (section 1.5.5).
    """
    length, position = _variable_integer(data, 1)
    if position > _SHORTEST_HEADER_BYTES and not data[position - 1]:
        raise MalformedPacket("a length with more bytes than it needs")
    return position + length


def read_plainly(data: memoryview) -> PlainPublish:
    """Read a PUBLISH without its properties, whatever is in them (section 3.3).

    A topic that is not UTF-8 is passed on as one that is nobody's, so that it is refused and
    acknowledged.

    Args:
        data: One whole packet.

    Raises:
        MalformedPacket: It is no PUBLISH of QoS 0 or 1, or shorter than it says.
    """
    first = data[0]
    qos = first >> _QOS_SHIFT & 3
    if first >> 4 != PUBLISH or qos > 1:
        raise MalformedPacket("no PUBLISH of QoS 0 or 1")
    try:
        length, position = _variable_integer(data, 1)
        if position + length != len(data):
            raise MalformedPacket("a PUBLISH of another length than it says")
        topic_starts = position + _LENGTH_BYTES
        position = topic_starts + int.from_bytes(data[position:topic_starts])
        topic = bytes(data[topic_starts:position]).decode(errors="replace")
        packet_id = 0
        if qos:
            packet_id = int.from_bytes(data[position : position + _LENGTH_BYTES])
            position += _LENGTH_BYTES
        properties_bytes, position = _variable_integer(data, position)
    except Incomplete as error:
        raise MalformedPacket("a PUBLISH that is shorter than it says") from error
    position += properties_bytes
    if not topic or position > len(data) or (qos and not packet_id):
        raise MalformedPacket("a PUBLISH that is shorter than it says")
    return PlainPublish(
        topic,
        bytes(data[position:]),
        qos,
        bool(first & _RETAIN_BIT),
        packet_id,
        bool(first & _DUP_BIT),
    )


def _variable_integer(data: memoryview, position: int) -> tuple[int, int]:
    """Return a variable byte integer (section 1.5.5), and where what follows it begins."""
    value = shift = 0
    for digit in data[position : position + _VARIABLE_INTEGER_BYTES]:
        position += 1
        value |= (digit & ~_CONTINUES) << shift
        if digit < _CONTINUES:
            return value, position
        shift += 7
    if shift == 7 * _VARIABLE_INTEGER_BYTES:
        raise MalformedPacket("a length of more than four bytes")
    raise Incomplete
