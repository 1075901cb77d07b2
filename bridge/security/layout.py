"""Pieces of which signed and authenticated bytes are made; docs/enrolment.md draws them."""

from __future__ import annotations

import base64
import re
import struct
from typing import Final

_BASE64URL: Final = re.compile("[A-Za-z0-9_-]*")


def counted(text: str) -> bytes:
    """Return a text with its length in front: no two sequences of texts give the same bytes."""
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def to_base64url(content: bytes) -> str:
    """Return bytes as text: base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Return the bytes in a text.

    Raises:
        ValueError: It is not base64url, or has padding.
    """
    # Python's decoder takes + and / as well, and passes over what it does not know.
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
