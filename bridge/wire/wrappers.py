"""Wrappers: a msgpack ext around another payload, each with a bound on what it expands to."""

from __future__ import annotations

import zlib

import msgpack
import zstandard

from bridge.wire import deflate, zstd
from bridge.wire.malformed import Malformed

ZLIB = 1
"""msgpack ext type of a payload compressed with zlib (RFC 1950)."""

ZSTD = 2
"""msgpack ext type of a payload compressed with Zstandard (RFC 8878)."""

_LIMIT = "limits.payload_bytes"
_SEALED = 16

_EXT_FIRST_BYTES = frozenset((0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xC7, 0xC8, 0xC9))


def is_wrapper(payload: bytes) -> bool:
    """Tell by the first byte whether the payload is a wrapper."""
    return payload[0] in _EXT_FIRST_BYTES


def unwrap(payload: bytes, limit_bytes: int) -> bytes:
    """Take the wrapper off.

    Args:
        payload: A msgpack ext.
        limit_bytes: The payload may expand to this and not a byte more, checked while expanding.

    Raises:
        Malformed: It is no complete wrapper, of an unknown type, or expands beyond the limit.
    """
    try:
        extension: object = msgpack.unpackb(payload)
    except (ValueError, msgpack.UnpackException) as error:
        raise Malformed(400, "bad_wrapper", f"not a complete msgpack ext: {error}") from None
    if not isinstance(extension, msgpack.ExtType):
        raise Malformed(415, "unknown_wrapper", "msgpack timestamps wrap no payload")
    if extension.code == ZLIB:
        inner = deflate.expand(extension.data, limit_bytes, _LIMIT)
    elif extension.code == ZSTD:
        inner = zstd.expand(extension.data, limit_bytes, _LIMIT)
    else:
        raise _unknown(extension.code)
    if not inner:
        raise Malformed(400, "empty_payload", "the wrapper is empty")
    if is_wrapper(inner):
        raise Malformed(400, "nested_wrapper", "a compressed payload cannot hold another wrapper")
    return inner


def _unknown(code: int) -> Malformed:
    if code == _SEALED:
        # Whatever can be opened was, before it came here.
        return Malformed(
            401, "seal_not_valid", "it is sealed, and whoever has sent it has no key: enrol it"
        )
    return Malformed(
        415,
        "unknown_wrapper",
        f"wrapper type {code} is not known; known: {ZLIB} (zlib), {ZSTD} (zstd), "
        f"{_SEALED} (sealed)",
    )


def wrap_zlib(payload: bytes) -> bytes:
    """Compress a payload into a wrapper."""
    packed: bytes = msgpack.packb(msgpack.ExtType(ZLIB, zlib.compress(payload)))
    return packed


def wrap_zstd(payload: bytes) -> bytes:
    """Compress a payload into a wrapper."""
    packed: bytes = msgpack.packb(msgpack.ExtType(ZSTD, zstandard.compress(payload)))
    return packed
