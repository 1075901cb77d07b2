"""Bytes and documents: the two encodings, as an application needs them."""

from __future__ import annotations

from typing import cast

import msgpack
import orjson

from bridge.device import Encoding, JsonObject


def encode(document: JsonObject, encoding: Encoding) -> bytes:
    """Write a document."""
    if encoding == "msgpack":
        return cast("bytes", msgpack.packb(document))
    return orjson.dumps(document)


def decode(payload: bytes) -> JsonObject | None:
    """Read a document in either encoding; None where it is in neither."""
    try:
        document: object = (
            orjson.loads(payload) if payload[:1] == b"{" else msgpack.unpackb(payload)
        )
    except (ValueError, msgpack.UnpackException):
        return None
    return document if isinstance(document, dict) else None
