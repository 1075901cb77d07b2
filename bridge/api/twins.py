"""The routes about one twin: its past, its writers, its conflicts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api import described
from bridge.api.acting import act, actor_of
from bridge.api.administration import Administration
from bridge.api.past import load, read_difference, read_moment
from bridge.api.problems import RequestProblem
from bridge.api.requests import (
    json_response,
    number,
    point,
    read_body,
    read_point,
    read_section,
    read_writer,
    twin_key,
)
from bridge.api.rollback import roll_back
from bridge.core.limits import INTEGER_MAX
from bridge.core.orders import ForgetWriter
from bridge.core.topics import TwinKey
from bridge.store.base import ConflictRow, HistoryRow, Store
from bridge.store.codec import decode_twin

HISTORY_LIMIT_MAX = 200
"""Most changes in one answer: with twins at their limit that is 25 MiB."""

CONFLICTS_LIMIT_MAX = 100
"""Most entries of the conflict log in one answer: all of one twin, and 12 MiB at most."""

LIMIT_DEFAULT = 50

WRITER_DEFAULT = "operator"
"""Whose update a rollback is that does not say so."""

Handler = Callable[[Request], Awaitable[Response]]


def twin_routes(administration: Administration) -> list[Route]:
    """Return the routes, each for unnamed and for named twins."""
    routes = _Routes(administration)
    unnamed: tuple[tuple[str, Handler, str], ...] = (
        ("/v1/twins/{device}/history", routes.history, "GET"),
        ("/v1/twins/{device}/diff", routes.diff, "GET"),
        ("/v1/twins/{device}/conflicts", routes.conflicts, "GET"),
        ("/v1/twins/{device}/writers", routes.writers, "GET"),
        ("/v1/twins/{device}/writers/{writer}", routes.forget_writer, "DELETE"),
        ("/v1/twins/{device}/rollback", routes.rollback, "POST"),
        # The same as the last one: for a twin whose name is one of the words above.
        ("/v1/twins/{device}/state", routes.state, "GET"),
        ("/v1/twins/{device}", routes.state, "GET"),
    )
    named = [
        (path.replace("{device}", "{device}/{name}"), handler, method)
        for path, handler, method in unnamed
    ]
    return [
        Route("/v1/conflicts", routes.all_conflicts),
        *(Route(path, handler, methods=[method]) for path, handler, method in (*unnamed, *named)),
    ]


class _Routes:
    """What each route does."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def state(self, request: Request) -> Response:
        """Answer with a twin as it is, or was."""
        key = twin_key(request)
        at = point(request, "at")
        return json_response(await read_moment(self._administration, key, at, _now_us()))

    async def history(self, request: Request) -> Response:
        """List changes of a twin, the newest first."""
        key = twin_key(request)
        limit = number(request, "limit", LIMIT_DEFAULT, HISTORY_LIMIT_MAX)
        below = number(request, "below_version", 0, INTEGER_MAX) or None

        def read(store: Store) -> list[HistoryRow]:
            return store.history(key, below, limit)

        await load(self._administration, key)
        rows = await self._administration.run_store(read)
        return json_response({**_named(key), "history": [*map(described.change, rows)]})

    async def diff(self, request: Request) -> Response:
        """Tell how a twin differs at two points."""
        key = twin_key(request)
        one, other = point(request, "from"), point(request, "to")
        if one is None or other is None:
            raise RequestProblem(HTTPStatus.BAD_REQUEST, "`from` and `to` must be given")
        return json_response(
            await read_difference(self._administration, key, one, other, _now_us())
        )

    async def rollback(self, request: Request) -> Response:
        """Bring a section back to what it was."""
        key = twin_key(request)
        body = await read_body(request)
        section = read_section(body.get("section"), "desired")
        answer = await roll_back(
            self._administration,
            key,
            read_point(body.get("to"), "to"),
            section or "desired",
            read_writer(body.get("writer", WRITER_DEFAULT)),
            _now_us(),
            actor_of(request),
        )
        return json_response(answer)

    async def conflicts(self, request: Request) -> Response:
        """List what a twin has lost, the newest first."""
        key = twin_key(request)
        await load(self._administration, key)
        return await self._conflicts(request, key)

    async def all_conflicts(self, request: Request) -> Response:
        """List what all twins have lost, the newest first."""
        return await self._conflicts(request, None)

    async def _conflicts(self, request: Request, key: TwinKey | None) -> Response:
        limit = number(request, "limit", LIMIT_DEFAULT, CONFLICTS_LIMIT_MAX)
        before = number(request, "before", 0, INTEGER_MAX) or None

        def read(store: Store) -> list[tuple[int, ConflictRow]]:
            return store.conflicts(key, before, limit)

        rows = await self._administration.run_store(read)
        return json_response({"conflicts": [described.conflict(*row) for row in rows]})

    async def writers(self, request: Request) -> Response:
        """List the writers of a twin that are remembered."""
        key = twin_key(request)
        stored = await load(self._administration, key)
        twin = await asyncio.to_thread(decode_twin, stored)
        return json_response({**_named(key), "writers": described.writers(twin)})

    async def forget_writer(self, request: Request) -> Response:
        """Forget what is remembered of a writer."""
        key = twin_key(request)
        writer = read_writer(request.path_params["writer"])
        section = read_section(request.query_params.get("section"), None)
        await load(self._administration, key)
        done = act(
            actor_of(request), "writer.forget", str(key), writer=writer, section=section or "both"
        )
        order = ForgetWriter(writer, section)
        outcome = await self._administration.apply(key, order, done)
        if not outcome.store:
            where = f" in {section}" if section else ""
            raise RequestProblem(
                HTTPStatus.NOT_FOUND, f"twin {key} remembers no writer {writer}{where}"
            )
        return json_response({**_named(key), "writer": writer, "section": section})


def _named(key: TwinKey) -> dict[str, object]:
    return {"device": key.device, "name": key.name}


def _now_us() -> int:
    return time.time_ns() // 1000
