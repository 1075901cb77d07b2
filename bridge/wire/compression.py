"""What goes out, compressed where that makes it smaller."""

from __future__ import annotations

import zstandard

from bridge.core.compression import Compression
from bridge.wire import wrappers
from bridge.wire.dictionaries import LEVEL, Dictionaries

_encoder = zstandard.ZstdCompressor(level=LEVEL)


def compress(payload: bytes, how: Compression, dictionaries: Dictionaries) -> bytes:
    """Return a payload in a wrapper; or as it is, where that is smaller, or is a wrapper itself."""
    if how == "none" or not payload or wrappers.is_wrapper(payload):
        return payload
    if how == "zlib":
        packed = wrappers.wrap_zlib(payload)
    else:
        frame = dictionaries.compress(payload) if how == "dictionary" else None
        packed = wrappers.wrap_frame(_encoder.compress(payload) if frame is None else frame)
    return packed if len(packed) < len(payload) else payload
