"""Zstandard (RFC 8878): one whole frame, expanded within a bound."""

from __future__ import annotations

import threading

import zstandard

from bridge.wire.dictionaries import WINDOW_BYTES, Dictionaries
from bridge.wire.malformed import Malformed, expands_too_far


class _Kept(threading.local):
    """A decoder per thread: to make one takes ten times as long as to use it."""

    def __init__(self) -> None:
        self.decoder = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)


_kept = _Kept()


def expand(
    data: bytes, limit_bytes: int, limit_name: str, dictionaries: Dictionaries | None = None
) -> bytes:
    """Expand one frame.

    Args:
        data: The frame, and nothing else.
        limit_bytes: It may expand to this and not a byte more, checked before memory is spent.
        limit_name: The setting that says so.
        dictionaries: Those that are known; None for none.

    Raises:
        Malformed: It is no whole frame, something follows it, it needs a dictionary that is not
            known or too large a window, or it expands beyond the limit.
    """
    try:
        frame = zstandard.get_frame_parameters(data)
        decoder = _decoder_for(frame.dict_id, dictionaries)
        if frame.window_size > WINDOW_BYTES:
            raise Malformed(
                413,
                "payload_too_large",
                f"the zstd frame needs a window of {frame.window_size} bytes, more than "
                f"{WINDOW_BYTES}: compress with a smaller window log",
            )
        if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN:
            return _expand_unsized(decoder, data, limit_bytes, limit_name)
        if frame.content_size > limit_bytes:
            raise expands_too_far(limit_bytes, limit_name)
        return decoder.decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Malformed(400, "bad_wrapper", f"not one whole zstd frame: {error}") from None


def _decoder_for(number: int, dictionaries: Dictionaries | None) -> zstandard.ZstdDecompressor:
    if not number:
        return _kept.decoder
    known = [] if dictionaries is None else dictionaries.ids
    decoder = None if dictionaries is None else dictionaries.decoder(number)
    if decoder is None:
        raise Malformed(
            415,
            "unknown_dictionary",
            f"the zstd frame needs dictionary {number}, which is not known here; known: "
            f"{', '.join(map(str, known)) or 'none'}. Read the current one, or compress without",
        )
    return decoder


def _expand_unsized(
    decoder: zstandard.ZstdDecompressor, data: bytes, limit_bytes: int, limit_name: str
) -> bytes:
    # Only the reader can be bounded, and only the other can tell the end of a frame.
    with decoder.stream_reader(data) as reader:
        if len(reader.read(limit_bytes + 1)) > limit_bytes:
            raise expands_too_far(limit_bytes, limit_name)
    expander = decoder.decompressobj()
    inner = expander.decompress(data)
    if not expander.eof or expander.unused_data:
        raise Malformed(400, "bad_wrapper", "the zstd frame is cut short, or bytes follow it")
    return inner
