"""The routes of administration, below /v1; the answers are JSON."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge import __version__
from bridge.api.administration import Administration, run_beside
from bridge.api.problems import (
    RequestProblem,
    on_error,
    on_http_exception,
    on_request_problem,
    on_syncbridge_error,
)
from bridge.core.topics import TwinKey
from bridge.errors import SyncbridgeError
from bridge.store.base import HistoryRow, QuarantinedMessage, Store

BODY_BYTES_MAX = 64 * 1024
"""Largest body of a request: a path is all that one holds."""

HISTORY_LIMIT_MAX = 200
"""Most changes in one answer: with twins at their limit that is 25 MiB."""

QUARANTINE_LIMIT_MAX = 100
"""Most messages in one answer, for the same reason."""

LIMIT_DEFAULT = 50

EXPORT_CHUNK_BYTES = 256 * 1024
"""Lines are sent in pieces of about this size: one change of threads for several hundred lines."""

HEALTH_TIMEOUT_S = 5.0
"""A store whose thread has no turn for so long is not healthy: a commit takes milliseconds."""

EXPORT_MEDIA_TYPE = "application/x-ndjson"


def create_app(administration: Administration, store_path: Path) -> Starlette:
    """Return the application.

    Args:
        administration: The holder of the store.
        store_path: Where the store is, for who asks.
    """
    routes = _Routes(administration, store_path)
    return Starlette(
        routes=[
            Route("/healthz", routes.health),
            Route("/v1/store", routes.store),
            Route("/v1/store/check", routes.check, methods=["POST"]),
            Route("/v1/store/backup", routes.backup, methods=["POST"]),
            Route("/v1/store/export", routes.export),
            Route("/v1/twins/{device}/history", routes.history),
            Route("/v1/twins/{device}/{name}/history", routes.history),
            Route("/v1/quarantine", routes.quarantine),
        ],
        exception_handlers={
            RequestProblem: on_request_problem,
            SyncbridgeError: on_syncbridge_error,
            HTTPException: on_http_exception,
            Exception: on_error,
        },
    )


class _Routes:
    """What each route does."""

    def __init__(self, administration: Administration, store_path: Path) -> None:
        self._administration = administration
        self._store_path = store_path

    async def health(self, _request: Request) -> Response:
        """Answer once the store's thread has had its turn."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                await self._administration.run_store(lambda _: None)
        except TimeoutError as error:
            raise RequestProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the store has been busy with one call for {HEALTH_TIMEOUT_S:.0f} s",
            ) from error
        return _json({"status": "ok", "version": __version__})

    async def store(self, _request: Request) -> Response:
        """Describe the store."""
        metadata, twins = await self._administration.run_store(
            lambda store: (store.metadata(), store.count_twins())
        )
        return _json(
            {
                "path": str(self._store_path),
                "version": __version__,
                "twins": twins,
                "metadata": metadata,
            }
        )

    async def check(self, _request: Request) -> Response:
        """Verify the store."""
        problems = await run_beside(self._administration, lambda store: store.check())
        return _json({"ok": not problems, "problems": problems})

    async def backup(self, request: Request) -> Response:
        """Write a backup to the absolute path in the body."""
        path = (await _body(request)).get("path")
        if not isinstance(path, str) or not Path(path).is_absolute():
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`path` must be an absolute path")
        target = Path(path)

        def write(store: Store) -> int:
            store.backup(target)
            return target.stat().st_size

        size_bytes = await run_beside(self._administration, write)
        return _json({"path": path, "size_bytes": size_bytes})

    async def export(self, _request: Request) -> Response:
        """Stream the store as JSON lines."""
        pieces = _Pieces(await self._administration.run_store(lambda store: store.export()))
        # Before the status is sent, so that a store that cannot be read is told by it.
        first = await asyncio.to_thread(pieces.take)
        return StreamingResponse(_stream(first, pieces), media_type=EXPORT_MEDIA_TYPE)

    async def history(self, request: Request) -> Response:
        """List changes of a twin, the newest first."""
        key = TwinKey(request.path_params["device"], request.path_params.get("name", ""))
        limit = _number(request, "limit", LIMIT_DEFAULT, HISTORY_LIMIT_MAX)
        below = _number(request, "below_version", 0, 2**63 - 1) or None

        def read(store: Store) -> list[HistoryRow]:
            if key not in store.load([key]):
                raise RequestProblem(HTTPStatus.NOT_FOUND, f"there is no twin {key}")
            return store.history(key, below, limit)

        rows = await self._administration.run_store(read)
        return _json({"device": key.device, "name": key.name, "history": [*map(_change, rows)]})

    async def quarantine(self, request: Request) -> Response:
        """List quarantined messages, the newest first."""
        limit = _number(request, "limit", LIMIT_DEFAULT, QUARANTINE_LIMIT_MAX)
        messages = await self._administration.run_store(lambda store: store.quarantine(limit))
        return _json({"quarantine": [*map(_quarantined, messages)]})


def _change(row: HistoryRow) -> Mapping[str, object]:
    return {
        "version": row.version,
        "at": row.at,
        "stamp": row.stamp,
        "writer": row.writer,
        "section": row.section,
        "patch": orjson.Fragment(row.patch),
        "previous": orjson.Fragment(row.previous),
    }


def _quarantined(message: QuarantinedMessage) -> Mapping[str, object]:
    """Describe a message; its payload is text where it is UTF-8, else base64."""
    described: dict[str, object] = {
        "at": message.at,
        "topic": message.topic,
        "code": message.code,
        "error": message.error,
        "message": message.message,
    }
    try:
        described["payload"] = message.payload.decode("utf-8")
    except UnicodeDecodeError:
        described["payload_base64"] = base64.b64encode(message.payload).decode("ascii")
    return described


def _json(value: Mapping[str, object]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


def _number(request: Request, name: str, default: int, largest: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= largest):
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, f"`{name}` must be an integer from 1 to {largest}"
        )
    return int(text)


async def _body(request: Request) -> Mapping[str, object]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise RequestProblem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a body has at most {BODY_BYTES_MAX} bytes",
            )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return value


class _Pieces:
    """Lines joined to pieces of about `EXPORT_CHUNK_BYTES`, taken in any thread."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._lock = threading.Lock()

    def take(self) -> bytes:
        """Return the next piece; an empty one at the end."""
        taken = []
        size_bytes = 0
        with self._lock:
            for line in self._lines:
                taken.append(line)
                size_bytes += len(line)
                if size_bytes >= EXPORT_CHUNK_BYTES:
                    break
        return b"".join(taken)

    def close(self) -> None:
        """Let go of the store, after the piece that is being taken."""
        with self._lock:
            self._lines = iter(())


async def _stream(first: bytes, pieces: _Pieces) -> AsyncIterator[bytes]:
    piece = first
    try:
        while piece:
            yield piece
            piece = await asyncio.to_thread(pieces.take)
    finally:
        # Also where the client has gone: an open snapshot would let the store's log grow.
        pieces.close()
