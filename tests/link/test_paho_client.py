"""What is done to paho-mqtt, compared with paho-mqtt itself."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.link.base import LinkSettings, ProtocolVersion, Publication
from bridge.link.paho_client import PahoClient, decode_plain, without_properties
from bridge.link.paho_stream import PahoStream
from tests.support import scripted_broker as script

_AT_LEAST_ONCE = 0x32
_AT_MOST_ONCE = 0x30


def _client(protocol: ProtocolVersion) -> PahoClient:
    stream = PahoStream(lambda: None, lambda _: None)
    return PahoClient(LinkSettings("h", 1, "c", ()), protocol, stream)


@pytest.mark.parametrize(
    ("content_type", "correlation_data"),
    [("application/json", None), (None, b"\x00\x01"), ("application/msgpack", b"x" * 300)],
)
async def test_properties_are_encoded_as_paho_does(
    content_type: str | None, correlation_data: bytes | None
) -> None:
    """The shortcut saves time, not bytes."""
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if content_type is not None:
        theirs.ContentType = content_type
    if correlation_data is not None:
        theirs.CorrelationData = correlation_data

    ours = _client("5").properties(Publication("t", b"", False, content_type, correlation_data))

    assert ours is not None
    assert ours.pack() == theirs.pack()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("protocol", "content_type"), [("5", None), ("3.1.1", "application/json")])
async def test_there_are_no_properties_where_none_are_needed_or_known(
    protocol: ProtocolVersion, content_type: str | None
) -> None:
    """Nothing to say, or no way to say it."""
    publication = Publication("t", b"", content_type=content_type)

    assert _client(protocol).properties(publication) is None


async def test_a_property_that_is_too_long_is_refused() -> None:
    """MQTT has two bytes for the length of correlation data."""
    with pytest.raises(ValueError, match="65,535"):
        _client("5").properties(Publication("t", b"", correlation_data=b"x" * 65_536))


@given(
    topic=st.text(max_size=30),
    payload=st.binary(max_size=300),
    packet_id=st.integers(0, 65_535),
    properties=st.binary(max_size=300),
)
def test_properties_are_cut_out_and_nothing_else(
    topic: str, payload: bytes, packet_id: int, properties: bytes
) -> None:
    """Whatever they are, the rest stays as it was, with and without a packet id."""
    command = _AT_LEAST_ONCE if packet_id else _AT_MOST_ONCE
    topic_bytes = topic.encode()

    def remaining(of: bytes) -> bytes:
        packet_id_bytes = packet_id.to_bytes(2, "big") if packet_id else b""
        length = script.variable_integer(len(of))
        return script.text(topic_bytes) + packet_id_bytes + length + of + payload

    assert without_properties(command, remaining(properties)) == remaining(b"")


@pytest.mark.parametrize(
    "packet", [b"", b"\x00", b"\x00\x01a", b"\x00\x01a\x00\x01", b"\x00\x01a\x00\x01\x05ab"]
)
def test_a_packet_that_is_cut_short_stays_malformed(packet: bytes) -> None:
    """What is not even a publish is none without its properties either."""
    with pytest.raises(MalformedPacket):
        without_properties(_AT_LEAST_ONCE, packet)


@given(
    st.integers(0, 15),
    st.binary(min_size=1, max_size=20),
    st.integers(1, 65_535),
    st.binary(max_size=30),
)
def test_the_short_way_reads_a_publish_as_paho_does(
    flags: int, topic: bytes, packet_id: int, payload: bytes
) -> None:
    """Where it applies: at QoS 1 and without properties."""
    if (flags & 0x06) == 0x06:
        return  # QoS 3 is malformed.
    packet = struct.pack("!H", len(topic)) + topic
    packet += struct.pack("!H", packet_id) if flags & 0x06 else b""
    packet += b"\x00" + payload
    plain = decode_plain(0x30 | flags, bytearray(packet))
    assert (plain is not None) == ((flags & 0x06) == 0x02)
    if plain is None:
        return
    expected = decode_publish(0x30 | flags, packet, MQTTProtocolVersion.MQTTv5)
    assert plain._topic == expected.topic
    for name in ("dup", "qos", "retain", "mid", "payload"):
        assert getattr(plain, name) == getattr(expected, name)


@pytest.mark.parametrize(
    "packet", [b"", b"\x00", b"\x00\x01", b"\x00\x01a\x00", b"\x00\x01a\x00\x01", b"\xff\xffa"]
)
def test_what_is_cut_short_is_left_to_paho(packet: bytes) -> None:
    """The short way never reads beyond the end."""
    assert decode_plain(0x32, packet) is None


def test_a_publish_with_properties_is_left_to_paho() -> None:
    """Whatever they are."""
    assert decode_plain(0x32, b"\x00\x01a\x00\x01\x02\x01\x01") is None
