"""Zstandard (RFC 8878): one whole frame, expanded within a bound."""

from __future__ import annotations

import threading

import zstandard

from bridge.wire.malformed import Malformed, expands_too_far

WINDOW_BYTES = 8 * 1024 * 1024
"""Largest window that a frame may ask for, as RFC 8878 (section 3.1.1.1.2) suggests."""


class _Kept(threading.local):
    """A decoder per thread: to make one takes ten times as long as to use it."""

    def __init__(self) -> None:
        self.decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)


_kept = _Kept()


def expand(data: bytes, limit_bytes: int, limit_name: str) -> bytes:
    """Expand one frame.

    Args:
        data: The frame, and nothing else.
        limit_bytes: It may expand to this and not a byte more, checked before memory is spent.
        limit_name: The setting that says so.

    Raises:
        Malformed: It is no whole frame, something follows it, it needs a dictionary or too large
            a window, or it expands beyond the limit.
    """
    try:
        frame = zstandard.get_frame_parameters(data)
        if frame.dict_id:
            raise Malformed(
                415,
                "unknown_dictionary",
                f"the zstd frame needs dictionary {frame.dict_id}, and none is known here: "
                "compress without one",
            )
        if frame.window_size > WINDOW_BYTES:
            raise Malformed(
                413,
                "payload_too_large",
                f"the zstd frame needs a window of {frame.window_size} bytes, more than "
                f"{WINDOW_BYTES}: compress with a smaller window log",
            )
        if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            return _expand_unsized(data, limit_bytes, limit_name)
        if frame.content_size > limit_bytes:
            raise expands_too_far(limit_bytes, limit_name)
        return _kept.decoder.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Malformed(400, "bad_wrapper", f"not one whole zstd frame: {error}") from None


def _expand_unsized(data: bytes, limit_bytes: int, limit_name: str) -> bytes:
    # Only the reader can be bounded, and only the other can tell the end of a frame.
    with _kept.decoder.stream_reader(data) as reader:
        if len(reader.read(limit_bytes + 1)) > limit_bytes:
            raise expands_too_far(limit_bytes, limit_name)
    expander = _kept.decoder.decompressobj()
    inner = expander.decompress(data)
    if not expander.eof or expander.unused_data:
        raise Malformed(400, "bad_wrapper", "the zstd frame is cut short, or bytes follow it")
    return inner
