"""Packets of MQTT 3.1.1, encoded and taken apart: only what the benchmarks need.

A client library would cost more than what is measured, and would do things of its own (send again,
reorder, wait) where a checker has to know exactly what the broker said. Sections are those of the
OASIS standard MQTT 3.1.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9
PINGRESP: Final = 13

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

PUBACK_BYTES: Final = 4
"""Size of a PUBACK (section 3.4), so that a run of them can be counted without being read."""

MAXIMUM_PACKET_ID: Final = 65_535

_CLEAN_SESSION: Final = 0x02
_RETAIN: Final = 0x01
_QOS1: Final = 0x02
_PROTOCOL_LEVEL: Final = 4
_CONTINUES: Final = 0x80


class Packet(NamedTuple):
    """One packet that arrived: its type, the flags beside it, and what follows the header."""

    kind: int
    flags: int
    body: bytes


class Publish(NamedTuple):
    """One PUBLISH that arrived; `packet_id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    retain: bool
    packet_id: int


def connect(client_id: str, keepalive_s: int = 60) -> bytes:
    """Return a CONNECT of a clean session without a login (section 3.1)."""
    head = _text("MQTT") + bytes([_PROTOCOL_LEVEL, _CLEAN_SESSION]) + keepalive_s.to_bytes(2)
    return _packet(0x10, head + _text(client_id))


def subscribe(packet_id: int, filters: Sequence[str], qos: int) -> bytes:
    """Return a SUBSCRIBE (section 3.8)."""
    body = packet_id.to_bytes(2) + b"".join(_text(name) + bytes([qos]) for name in filters)
    return _packet(0x82, body)


def publish(topic: str, payload: bytes, packet_id: int, *, retain: bool = False) -> bytes:
    """Return a PUBLISH of QoS 1 (section 3.3)."""
    first = 0x30 | _QOS1 | (_RETAIN if retain else 0)
    return _packet(first, _text(topic) + packet_id.to_bytes(2) + payload)


def puback(packet_id: int) -> bytes:
    """Return a PUBACK (section 3.4)."""
    return b"\x40\x02" + packet_id.to_bytes(2)


def read_publish(packet: Packet) -> Publish:
    """Take a PUBLISH apart."""
    body = packet.body
    position = 2 + int.from_bytes(body[:2])
    topic = body[2:position].decode()
    packet_id = 0
    if packet.flags & 0x06:
        packet_id = int.from_bytes(body[position : position + 2])
        position += 2
    return Publish(topic, body[position:], bool(packet.flags & _RETAIN), packet_id)


class Splitter:
    """Cuts what arrives into packets."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Yield the packets that are complete; to be used up before the next call.

        Raises:
            ValueError: The remaining length is malformed (section 2.2.3).
        """
        data = self._rest + data if self._rest else data
        position, end = 0, len(data)
        while True:
            start, length = _header(data, position, end)
            if length < 0 or start + length > end:
                break
            first = data[position]
            position = start + length
            yield Packet(first >> 4, first & 0x0F, data[start:position])
        self._rest = data[position:]


def _header(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Return where the body begins and its length; the length is -1 where bytes are missing."""
    length = shift = 0
    for start in range(position + 1, min(end, position + 5)):
        digit = data[start]
        length |= (digit & 0x7F) << shift
        if digit < _CONTINUES:
            return start + 1, length
        shift += 7
    if end - position > 4:
        raise ValueError("a remaining length of more than four bytes")
    return position, -1


def _packet(first: int, body: bytes) -> bytes:
    encoded = bytearray([first])
    length = len(body)
    while True:
        length, digit = divmod(length, 128)
        encoded.append(digit | (_CONTINUES if length else 0))
        if not length:
            return bytes(encoded) + body


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(2) + encoded
