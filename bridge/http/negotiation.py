"""Bodies in and out: JSON or msgpack, plain or compressed, within bounds."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgpack
import orjson
import zstandard
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.problems import RequestProblem
from bridge.wire import deflate, zstd
from bridge.wire.malformed import Malformed

COMPRESS_FROM_BYTES: Final = 1024
"""Smaller answers fit into one packet anyway."""

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"

_MSGPACK_NAMES: Final = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
_LIMIT: Final = "http.body_bytes"
_VARY: Final = "Accept, Accept-Encoding, Authorization"


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body of a request, decompressed.

    Raises:
        RequestProblem: It is too large, or not compressed as it says.
    """
    parts = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
    body = b"".join(parts)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    try:
        if encoding in ("gzip", "x-gzip"):
            return deflate.expand(body, limit_bytes, _LIMIT, "gzip")
        if encoding == "zstd":
            return zstd.expand(body, limit_bytes, _LIMIT)
    except Malformed as error:
        code, _, message = error.refusal
        raise RequestProblem(HTTPStatus(code), message) from error
    raise RequestProblem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Content-Encoding must be gzip, zstd or identity",
    )


def _too_large(limit_bytes: int) -> RequestProblem:
    return RequestProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"a body has at most {limit_bytes} bytes, compressed or not",
        hint=f"send less at once, or raise {_LIMIT}",
    )


def respond(
    request: Request,
    value: Mapping[str, object] | bytes,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer as the client likes it.

    Args:
        request: What says so.
        value: An object, or JSON of one.
        headers: Further headers.
    """
    given = request.headers
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    media_type = JSON
    if wants_msgpack(given.get("accept", "")):
        media_type = MSGPACK
        body = msgpack.packb(orjson.loads(body))
    sent = {"vary": _VARY, "cache-control": "private, no-cache", **(headers or {})}
    if len(body) >= COMPRESS_FROM_BYTES:
        encoding = _choose_encoding(given.get("accept-encoding", ""))
        if encoding == "zstd":
            body = zstandard.ZstdCompressor().compress(body)
        elif encoding == "gzip":
            body = gzip.compress(body, 5)
        if encoding:
            sent["content-encoding"] = encoding
    return Response(body, headers=sent, media_type=media_type)


def wants_msgpack(accept: str) -> bool:
    """Tell whether msgpack stands in an `Accept`, and no JSON before it."""
    if "msgpack" not in accept:
        return False
    names = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    first = next((name for name in names if name in (*_MSGPACK_NAMES, JSON, "*/*")), JSON)
    return first in _MSGPACK_NAMES


def _choose_encoding(accept: str) -> str:
    if not accept:
        return ""
    offered = {}
    for part in accept.lower().split(","):
        name, _, weight = part.partition(";")
        offered[name.strip()] = weight.replace(" ", "")
    for encoding in ("zstd", "gzip"):
        asked = offered.get(encoding)
        if asked is not None and asked not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            return encoding
    return ""
