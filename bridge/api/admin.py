"""The routes of administration, below /v1; the answers are JSON."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge import __version__
from bridge.api.administration import Administration, KeyAdministration, run_beside
from bridge.api.audit import audit_route
from bridge.api.claims import claim_routes
from bridge.api.dictionaries import dictionary_routes
from bridge.api.fleet_changes import fleet_routes
from bridge.api.keys import key_routes
from bridge.api.metrics import Exposed, metrics_route
from bridge.api.problems import HANDLERS, RequestProblem
from bridge.api.quarantine import quarantine_routes
from bridge.api.queries import query_route
from bridge.api.reloading import reload_routes
from bridge.api.requests import json_response, read_body
from bridge.api.retained import retained_routes
from bridge.api.tokens import token_routes
from bridge.api.twins import twin_routes
from bridge.store.base import Store

EXPORT_CHUNK_BYTES = 256 * 1024
"""Lines are sent in pieces of about this size: one change of threads for several hundred lines."""

HEALTH_TIMEOUT_S = 5.0
"""A store whose thread has no turn for so long is not healthy: a commit takes milliseconds."""

EXPORT_MEDIA_TYPE = "application/x-ndjson"


def create_app(
    administration: KeyAdministration, store_path: Path, exposed: Exposed | None = None
) -> Starlette:
    """Return the application.

    Args:
        administration: The holder of the store.
        store_path: Where the store is, for who asks.
        exposed: Metrics, where there are any.
    """
    routes = _Routes(administration, store_path)
    return Starlette(
        routes=[
            Route("/healthz", routes.health),
            Route("/v1/store", routes.store),
            Route("/v1/store/check", routes.check, methods=["POST"]),
            Route("/v1/store/backup", routes.backup, methods=["POST"]),
            Route("/v1/store/export", routes.export),
            *quarantine_routes(administration),
            audit_route(administration),
            *reload_routes(administration),
            query_route(administration),
            *twin_routes(administration),
            *retained_routes(administration),
            *([] if exposed is None else [metrics_route(exposed)]),
            *token_routes(administration),
            *claim_routes(administration),
            *dictionary_routes(administration),
            *key_routes(administration),
            *fleet_routes(administration),
        ],
        exception_handlers={**HANDLERS},
    )


async def answer_health(administration: Administration) -> Response:
    """Answer once the store's thread has had its turn.

    Raises:
        RequestProblem: It has not had it for too long.
    """
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            await administration.run_store(lambda _: None)
    except TimeoutError as error:
        raise RequestProblem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"the store has been busy with one call for {HEALTH_TIMEOUT_S:.0f} s",
        ) from error
    return json_response({"status": "ok", "version": __version__})


class _Routes:
    """What each route does."""

    def __init__(self, administration: Administration, store_path: Path) -> None:
        self._administration = administration
        self._store_path = store_path

    async def health(self, _request: Request) -> Response:
        """Answer once the store's thread has had its turn."""
        return await answer_health(self._administration)

    async def store(self, _request: Request) -> Response:
        """Describe the store."""
        metadata, twins = await self._administration.run_store(
            lambda store: (store.metadata(), store.count_twins())
        )
        return json_response(
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
        return json_response({"ok": not problems, "problems": problems})

    async def backup(self, request: Request) -> Response:
        """Write a backup to the absolute path in the body."""
        path = (await read_body(request)).get("path")
        if not isinstance(path, str) or not Path(path).is_absolute():
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`path` must be an absolute path")
        target = Path(path)

        def write(store: Store) -> int:
            store.backup(target)
            return target.stat().st_size

        size_bytes = await run_beside(self._administration, write)
        return json_response({"path": path, "size_bytes": size_bytes})

    async def export(self, _request: Request) -> Response:
        """Stream the store as JSON lines."""
        pieces = _Pieces(await self._administration.run_store(lambda store: store.export()))
        # Before the status is sent, so that a store that cannot be read is told by it.
        first = await asyncio.to_thread(pieces.take)
        return StreamingResponse(_stream(first, pieces), media_type=EXPORT_MEDIA_TYPE)


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
