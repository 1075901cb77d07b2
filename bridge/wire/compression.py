"""What goes out, compressed where that makes it smaller."""

from __future__ import annotations

import zstandard

from bridge.core.compression import Compression
from bridge.wire import wrappers
from bridge.wire.dictionaries import LEVEL, Dictionaries

_encoder = zstandard.ZstdCompressor(level=LEVEL)


def compress(payload: bytes, how: Compression, dictionaries: Dictionaries) -> bytes:
    """Return a payload in a wrapper; or as it is, where the wrapper would not be smaller."""
    if how == "none" or not payload:
        return payload
    if how == "zlib":
        packed = wrappers.wrap_zlib(payload)
    else:
        frame = dictionaries.compress(payload) if how == "dictionary" else None
        packed = wrappers.wrap_frame(_encoder.compress(payload) if frame is None else frame)
    return packed if len(packed) < len(payload) else payload
