"""What tells one delivery of a message from another, where the message has no number."""

from __future__ import annotations

import zlib
from struct import Struct
from typing import Final, Literal

from bridge.core.update import SectionName

_LAYOUT: Final = Struct(">HI")

DIGEST_BYTES: Final = _LAYOUT.size
PACKET_ID_BYTES: Final = 2

_STARTS: Final = {"reported": 0, "desired": 1, "delete": 2}


def delivery_digest(
    verb: SectionName | Literal["delete"], writer: str, packet_id: int, payload: bytes
) -> bytes:
    """Return the packet id of a delivery, and a checksum: a repeat has both the same.

    A checksum is enough: it is only ever asked for what the broker has flagged as repeated, and
    the broker gives the packet ids.
    """
    checksum = zlib.crc32(payload, zlib.crc32(writer.encode(), _STARTS[verb]))
    return _LAYOUT.pack(packet_id, checksum)
