"""Frames of Zstandard (RFC 8878) that the package's own one-liner does not make."""

from __future__ import annotations

import zstandard


def unsized(payload: bytes, window_log: int = 20) -> bytes:
    """A frame that does not say how large its content is, as made while the content comes in."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=window_log, write_content_size=False
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(payload) + compressor.flush()


def of_dictionary(payload: bytes) -> bytes:
    """A frame of one raw block whose header names dictionary 7 (section 3.1.1.1)."""
    block = (len(payload) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x21\x07" + bytes([len(payload)]) + block + payload
