"""Packets that the codec does not write or read, compared with the codec."""

from __future__ import annotations

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.link import packets
from tests.support import scripted_broker as script


def test_acknowledgements_are_those_of_the_codec() -> None:
    """Only sooner made."""
    ids = [1, 255, 256, 65_535]

    assert packets.pubacks(ids) == b"".join(mqtt5.PubAckPacket(one).write() for one in ids)


_TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="+#"), min_size=1
)


@given(
    topic=_TEXTS,
    payload=st.binary(max_size=300),
    retain=st.booleans(),
    packet_id=st.none() | st.integers(1, 65_535),
    content_type=st.none() | _TEXTS,
    user_properties=st.lists(st.tuples(_TEXTS, _TEXTS), max_size=3),
)
def test_a_publish_is_read_as_the_codec_reads_it(
    topic: str,
    payload: bytes,
    retain: bool,
    packet_id: int | None,
    content_type: str | None,
    user_properties: list[tuple[str, str]],
) -> None:
    """But for its properties, which are passed over."""
    duplicate = retain and packet_id is not None
    packet = mqtt5.PublishPacket(
        topic,
        payload,
        qos=mqtt5.QoS.AT_LEAST_ONCE if packet_id else mqtt5.QoS.AT_MOST_ONCE,
        retain=retain,
        packet_id=packet_id,
        duplicate=duplicate,
        content_type=content_type,
        user_properties=user_properties,
    ).write()

    read = packets.read_plainly(memoryview(packet))

    assert packets.packet_length(memoryview(packet + b"more")) == len(packet)
    assert read == (topic, payload, int(bool(packet_id)), retain, packet_id or 0, duplicate)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\x01\x00",
        b"\x32\x04\x00\xffin",
        b"\x32\x05\x00\x01a\x00\x00",
        b"\x32\x06\x00\x01a\x00\x00\x00",
        b"\x32\x06\x00\x01a\x00\x01\x05",
        b"\x30\x03\x00\x00\x00",
        b"\x36\x06\x00\x01a\x00\x01\x00",
        b"\x40\x02\x00\x01",
    ],
)
def test_what_is_no_publish_stays_malformed(packet: bytes) -> None:
    """Shorter than it says, without topic or packet id, of QoS 3, or of another type."""
    with pytest.raises(packets.MalformedPacket):
        packets.read_plainly(memoryview(packet))


@pytest.mark.parametrize("beginning", [b"", b"\x30", b"\x30\x80", b"\x30\xff\xff\xff"])
def test_a_length_that_has_not_arrived_is_waited_for(beginning: bytes) -> None:
    """More bytes may make it whole."""
    with pytest.raises(packets.Incomplete):
        packets.packet_length(memoryview(beginning))


def test_a_length_has_four_bytes_at_most() -> None:
    """More bytes would not make it any better."""
    assert packets.packet_length(memoryview(b"\x30\xff\xff\xff\x7f")) == 268_435_455 + 5
    with pytest.raises(packets.MalformedPacket):
        packets.packet_length(memoryview(b"\x30\xff\xff\xff\xff"))


def test_a_length_is_not_longer_than_it_needs_to_be() -> None:
    """Section 1.5.5: the codec refuses it before the packet is whole, so nothing is to be read."""
    assert packets.packet_length(memoryview(b"\x30\x00")) == 2
    for written in (b"\x30\xe0\x00", b"\x30\x80\x80\x00"):
        with pytest.raises(packets.MalformedPacket):
            packets.packet_length(memoryview(written))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_publish_is_read_only_where_it_is_whole(change: int) -> None:
    """Else the beginning of a payload would be taken for all of it."""
    packet = script.publish("in/a", b"payload", 7)
    other = packet[:change] if change < 0 else packet + b"x"
    with pytest.raises(packets.MalformedPacket):
        packets.read_plainly(memoryview(other))


def test_broken_text_is_passed_on_as_what_nobody_owns() -> None:
    """So that it can be refused, and acknowledged."""
    read = packets.read_plainly(memoryview(script.publish(b"in/\xff", b"x", 7)))

    assert (read.topic, read.packet_id) == ("in/\ufffd", 7)
