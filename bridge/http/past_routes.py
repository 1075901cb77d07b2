"""The routes about the past of twins."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from bridge.api import described as rows
from bridge.api.acting import Actor
from bridge.api.past import load, read_difference
from bridge.api.requests import read_point, read_section, twin_key
from bridge.api.rollback import roll_back
from bridge.api.twins import CONFLICTS_LIMIT_MAX, HISTORY_LIMIT_MAX, LIMIT_DEFAULT
from bridge.core.limits import INTEGER_MAX
from bridge.core.topics import TwinKey
from bridge.http import negotiation
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import answers, body
from bridge.http.reading import access_of, forbid, require_reading
from bridge.http.twin_routes import path_parameters
from bridge.http.writing import decode_patch

_ROLLBACK_BODY: Final = body(("application/json", {"to": 1, "section": "desired"}))

Before = Annotated[int | None, Query(ge=1, le=INTEGER_MAX, description="Only lower ids.")]
BelowVersion = Annotated[int | None, Query(ge=1, le=INTEGER_MAX)]
PointText = Annotated[str, Query(max_length=64)]


class PastRoutes:
    """What each route does.

    Args:
        backend: Holds the twins.
        authenticator: Tells who asks.
        body_bytes: Largest body.
    """

    def __init__(self, backend: Backend, authenticator: Authenticator, body_bytes: int) -> None:
        self._backend = backend
        self._authenticator = authenticator
        self._body_bytes = body_bytes

    async def _reader_of(self, request: Request) -> TwinKey:
        """Return the twin, for who may read all of it: its past tells of all of it."""
        principal = await self._authenticator.principal_of(request)
        key = twin_key(request)
        access = access_of(self._backend, principal, key)
        require_reading(access, principal, key, all_of=True)
        await load(self._backend, key)
        return key

    async def history(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=HISTORY_LIMIT_MAX)] = LIMIT_DEFAULT,
        below_version: BelowVersion = None,
    ) -> Response:
        """List the changes of a twin, the newest first."""
        key = await self._reader_of(request)
        found = await self._backend.run_store(lambda s: s.history(key, below_version, limit))
        answer = {"device": key.device, "name": key.name, "history": [*map(rows.change, found)]}
        return negotiation.respond(request, answer)

    async def conflicts(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=CONFLICTS_LIMIT_MAX)] = LIMIT_DEFAULT,
        before: Before = None,
    ) -> Response:
        """List what a twin has lost, the newest first."""
        key = await self._reader_of(request)
        found = await self._backend.run_store(lambda s: s.conflicts(key, before, limit))
        return negotiation.respond(request, {"conflicts": [rows.conflict(*row) for row in found]})

    async def diff(
        self,
        request: Request,
        start: Annotated[str, Query(alias="from", max_length=64)],
        to: PointText,
    ) -> Response:
        """Tell how a twin differs at two versions or times."""
        one, other = read_point(start, "from"), read_point(to, "to")
        key = await self._reader_of(request)
        answer = await read_difference(self._backend, key, one, other, self._backend.now_us())
        return negotiation.respond(request, answer)

    async def rollback(self, request: Request) -> Response:
        """Bring a section back to what it was; that is a new version."""
        principal = await self._authenticator.principal_of(request)
        given = await negotiation.read_body(request, self._body_bytes)
        wanted, _, _ = decode_patch(given, self._backend.limits)
        section = read_section(wanted.get("section"), "desired") or "desired"
        point = read_point(wanted.get("to"), "to")
        key = await self._reader_of(request)
        access = access_of(self._backend, principal, key)
        if access is not None and not access.grant(section, "write").is_some:
            raise forbid(principal, f"write anything in {section} of {key}")
        answer = await roll_back(
            self._backend,
            key,
            point,
            section,
            principal,
            self._backend.now_us(),
            Actor("http", principal),
        )
        return negotiation.respond(request, answer)


def add_past_routes(app: FastAPI, routes: PastRoutes) -> None:
    """Add the routes, each for unnamed and for named twins."""
    for base in ("/v1/twins/{device}", "/v1/twins/{device}/{name}"):
        extra = path_parameters(named="{name}" in base)
        for word, handler in (
            ("history", routes.history),
            ("conflicts", routes.conflicts),
            ("diff", routes.diff),
        ):
            app.add_api_route(
                f"{base}/{word}", handler, methods=["GET"], tags=["past"], openapi_extra=extra,
                responses=answers(404, 410, description=f"The {word}."),
            )  # fmt: skip
        app.add_api_route(
            f"{base}/rollback", routes.rollback, methods=["POST"], tags=["past"],
            openapi_extra={**extra, **_ROLLBACK_BODY},
            responses=answers(404, 409, 410, 415, description="What came of it."),
        )  # fmt: skip
