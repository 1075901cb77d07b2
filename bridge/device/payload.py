"""Documents to bytes and back: JSON (RFC 8259) or msgpack, told apart by the first byte."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

import msgpack
import orjson

from bridge.wire.wrappers import is_sealed

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | JsonObject | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"
Encoding = Literal["json", "msgpack"]

METADATA_KEY = "$"

# Of msgpack's ext with a length of 8, 16 or 32 bits.
_EXT_FIRST_BYTES = frozenset((0xC7, 0xC8, 0xC9))


class UnreadableError(ValueError):
    """A payload is neither a JSON object nor a msgpack map."""


class SealedError(UnreadableError):
    """A payload is sealed, and was not opened."""


def encode(document: JsonObject, encoding: Encoding) -> bytes:
    """Encode a document.

    Raises:
        ValueError: It holds what has no encoding, such as a lone surrogate.
    """
    try:
        if encoding == "json":
            return orjson.dumps(document)
        return cast("bytes", msgpack.packb(document))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"a value cannot be encoded as {encoding}: {error}") from error


def decode(payload: bytes) -> JsonObject:
    """Decode a document, whichever of the two encodings it is in.

    Raises:
        UnreadableError: It is not an object, or broken.
    """
    if not payload:
        raise UnreadableError("the payload is empty")
    if payload[0] in _EXT_FIRST_BYTES:
        if is_sealed(payload):
            raise SealedError("the payload is sealed")
        raise UnreadableError("the payload is compressed")
    try:
        document = (
            _decode_msgpack(payload) if _is_msgpack_map(payload[0]) else orjson.loads(payload)
        )
    except Exception as error:
        # msgpack documents that its errors have no common root (ValueError, its own, and more).
        raise UnreadableError(f"the payload is broken: {error}") from error
    if not isinstance(document, dict):
        raise UnreadableError("the payload is not an object")
    return document


def _is_msgpack_map(first_byte: int) -> bool:
    """Tell by the first byte: fixmap, map 16 or map 32."""
    return 0x80 <= first_byte <= 0x8F or first_byte in (0xDE, 0xDF)


def _decode_msgpack(payload: bytes) -> object:
    return msgpack.unpackb(payload, raw=False, strict_map_key=True)
