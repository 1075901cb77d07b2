"""Packets of the benchmarks' own client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import packets
from benchmarks.packets import Packet, Publish, Splitter


@given(
    payloads=st.lists(st.binary(max_size=300), max_size=5),
    cuts=st.lists(st.integers(1, 50), min_size=1),
)
def test_packets_are_found_however_the_stream_is_cut(
    payloads: list[bytes], cuts: list[int]
) -> None:
    """Chunks of any sizes give the packets that were sent."""
    stream = b"".join(packets.publish("a/b", payload, 7) for payload in payloads)
    splitter = Splitter()
    found: list[Packet] = []
    position = 0
    while position < len(stream):
        size = cuts[position % len(cuts)]
        found += splitter.feed(stream[position : position + size])
        position += size
    assert [packets.read_publish(packet) for packet in found] == [
        Publish("a/b", payload, False, 7) for payload in payloads
    ]


def test_a_publish_of_qos_0_has_no_packet_id() -> None:
    """The payload begins behind the topic."""
    (packet,) = Splitter().feed(b"\x31\x05\x00\x01abc")
    assert packets.read_publish(packet) == Publish("a", b"bc", True, 0)


def test_an_endless_length_is_refused() -> None:
    """A remaining length has four bytes at most (section 2.2.3)."""
    with pytest.raises(ValueError, match="four bytes"):
        list(Splitter().feed(b"\x30\xff\xff\xff\xff\x01"))
