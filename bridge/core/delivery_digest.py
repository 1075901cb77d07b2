"""What tells one delivery of a message from another, where the message has no number."""

from __future__ import annotations

import zlib
from typing import Final, Literal

from bridge.core.update import SectionName

DIGEST_BYTES: Final = 4

_STARTS: Final = {"reported": 0, "desired": 1 << 16, "delete": 1 << 17}
"""Above all packet ids, which have 16 bits."""


def delivery_digest(
    verb: SectionName | Literal["delete"], writer: str, packet_id: int, payload: bytes
) -> bytes:
    """Return a checksum of a delivery: a repeat has the same packet id, and the same payload.

    A checksum is enough: it is only ever asked for what the broker has flagged as repeated, and
    the broker gives the packet ids.
    """
    checksum = zlib.crc32(payload, zlib.crc32(writer.encode(), _STARTS[verb] + packet_id))
    return checksum.to_bytes(DIGEST_BYTES, "big")
