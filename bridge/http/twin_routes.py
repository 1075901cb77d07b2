"""The routes of one twin: read it, change it, delete it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from bridge.api.past import load, read_moment
from bridge.api.problems import RequestProblem
from bridge.api.requests import read_point, twin_key
from bridge.core.access import Access, readable
from bridge.core.limits import TIME_MAX
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS, SectionName
from bridge.http import negotiation, writing
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import IfMatch, IfNoneMatch, Select, answers, body
from bridge.http.etags import etag, matches, read_if_match
from bridge.http.reading import (
    Selection,
    access_of,
    load_view,
    missing,
    require_reading,
    shown,
    shown_object,
)
from bridge.store.codec import decode_twin
from bridge.wire.inbound import GetRequest
from bridge.wire.outbound import twin_answer

_TWIN: Final = {
    "device": "john",
    "name": "",
    "version": 2,
    "at": 1_790_000_000_000_000,
    "reported": {"name": "John", "age": 31},
    "desired": {},
}
_WRITTEN: Final = {
    "device": "john",
    "name": "",
    "version": 2,
    "changed": True,
    "superseded": False,
    "duplicate": False,
    "section": "reported",
}
_BODIES: Final = body(
    ("application/merge-patch+json", {"age": 31}),
    ("application/json", {"age": 31}),
    ("application/json-patch+json", [{"op": "replace", "path": "/age", "value": 31}]),
    ("application/msgpack", {"age": 31}),
)
_WHOLE_BODIES: Final = body(
    ("application/json", {"name": "John", "age": 31}),
    ("application/msgpack", {"name": "John", "age": 31}),
)

Handler = Callable[..., Awaitable[Response]]


class TwinRoutes:
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

    async def read(
        self,
        request: Request,
        select: Select = None,
        since: Annotated[int | None, Query(ge=0, le=TIME_MAX)] = None,
        at: Annotated[str | None, Query(max_length=64)] = None,
        *,
        meta: bool = False,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Read a twin: both sections, its version as `ETag`.

        `since` gives what changed after a version, `at` the twin at a version or a time, `meta` who
        wrote each field, when and in which version.
        """
        principal = await self._authenticator.principal_of(request)
        key = twin_key(request)
        access = access_of(self._backend, principal, key)
        require_reading(access, principal, key, all_of=False)
        selection = Selection(select, self._backend.limits) if select is not None else None
        if at is not None:
            return await self._read_past(request, key, access, at, selection)
        if since is not None or meta:
            return await self._read_more(request, key, access, GetRequest(since, meta), selection)
        view = await load_view(self._backend, key)
        if not view.exists:
            raise missing(key)
        if if_none_match is not None and matches(if_none_match, view.version):
            return Response(
                status_code=HTTPStatus.NOT_MODIFIED, headers={"etag": etag(view.version)}
            )
        document = shown(view, access, selection)
        return negotiation.respond(request, document, {"etag": etag(view.version)})

    async def _read_past(
        self,
        request: Request,
        key: TwinKey,
        access: Access | None,
        at: str,
        selection: Selection | None,
    ) -> Response:
        point = read_point(at, "at")
        moment = await read_moment(self._backend, key, point, self._backend.now_us())
        return negotiation.respond(request, shown_object(moment, access, selection))

    async def _read_more(
        self,
        request: Request,
        key: TwinKey,
        access: Access | None,
        wanted: GetRequest,
        selection: Selection | None,
    ) -> Response:
        backend = self._backend
        stored = await load(backend, key)
        if not stored.exists:
            raise missing(key)

        def answer() -> dict[str, Any]:
            twin = decode_twin(stored, backend.policies)
            return twin_answer(twin, wanted, None, twin.last_seen, access)

        # Not on the event loop: a twin at its limit takes some 10 ms to decode.
        found = await asyncio.to_thread(answer)
        head = found.pop("$")
        document = {"device": key.device, "name": key.name, "version": head["version"]}
        document |= {name: head[name] for name in ("since", "full") if name in head} | found
        if selection is not None:
            document = selection.applied(document)
        return negotiation.respond(request, document, {"etag": etag(stored.version)})

    def read_section(self, section: SectionName) -> Handler:
        """Return the handler that reads one section."""

        async def handle(request: Request, if_none_match: IfNoneMatch = None) -> Response:
            principal = await self._authenticator.principal_of(request)
            key = twin_key(request)
            access = access_of(self._backend, principal, key)
            require_reading(access, principal, key, all_of=False)
            view = await load_view(self._backend, key)
            if not view.exists:
                raise missing(key)
            headers = {"etag": etag(view.version)}
            if if_none_match is not None and matches(if_none_match, view.version):
                return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
            value = orjson.loads(view.document)[section]
            if access is not None:
                value = readable(access.grant(section, "read"), value)
            return negotiation.respond(request, value, headers)

        return handle

    def change(self, section: SectionName) -> Handler:
        """Return the handler that applies a patch to a section."""

        async def handle(request: Request, if_match: IfMatch = None) -> Response:
            principal = await self._authenticator.principal_of(request)
            key = twin_key(request)
            version = read_if_match(if_match)
            media_type = writing.media_type_of(request.headers.get("content-type"))
            given = await negotiation.read_body(request, self._body_bytes)
            if media_type == writing.JSON_PATCH:
                answer = await writing.patch_section(
                    self._backend, principal, key, section, given, if_match=version
                )
            else:
                writing.check_media_type(media_type)
                answer = await writing.write_section(
                    self._backend, principal, key, section, given, if_match=version
                )
            return negotiation.respond(request, answer, {"etag": f'"{answer["version"]}"'})

        return handle

    def replace(self, section: SectionName) -> Handler:
        """Return the handler that puts a whole section."""

        async def handle(request: Request, if_match: IfMatch = None) -> Response:
            principal = await self._authenticator.principal_of(request)
            key = twin_key(request)
            version = read_if_match(if_match)
            media_type = writing.media_type_of(request.headers.get("content-type"))
            writing.check_media_type(media_type)
            given = await negotiation.read_body(request, self._body_bytes)
            answer = await writing.write_section(
                self._backend, principal, key, section, given, full=True, if_match=version
            )
            return negotiation.respond(request, answer, {"etag": f'"{answer["version"]}"'})

        return handle

    async def delete(self, request: Request) -> Response:
        """Delete a twin. Its version goes on where it is made anew."""
        principal = await self._authenticator.principal_of(request)
        key = twin_key(request)
        if "if-match" in request.headers:
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST, "If-Match is not offered for a deletion: it would not hold"
            )
        answer = await writing.delete_twin(self._backend, principal, key)
        return negotiation.respond(request, answer)


class _Direct(Route):
    """A route that is tried before FastAPI's of the same path, where there are no parameters.

    What reads and writes most takes this way: it spares the third of a request's time that goes
    into parameters that are not there.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only without a query."""
        if scope["type"] != "http" or scope["query_string"]:
            return Match.NONE, {}
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL else (Match.NONE, {})


def add_twin_routes(app: FastAPI, routes: TwinRoutes) -> None:
    """Add the routes of unnamed twins."""
    _add_direct(app, routes)
    _add_twin(app, routes, "/v1/twins/{device}", "")
    for section in SECTIONS:
        _add_section(app, routes, f"/v1/twins/{{device}}/{section}", section, "")


def add_named_twin_routes(app: FastAPI, routes: TwinRoutes) -> None:
    """Add the routes of named twins, behind all whose last word could be taken for a name."""
    base = "/v1/twins/{device}/{name}"
    for section in SECTIONS:
        _add_section(app, routes, f"{base}/{section}", section, "named ")
    _add_twin(app, routes, base, "named ")


def _add_direct(app: FastAPI, routes: TwinRoutes) -> None:
    async def read(request: Request) -> Response:
        return await routes.read(request, if_none_match=request.headers.get("if-none-match"))

    app.router.routes.append(_Direct("/v1/twins/{device}", read, methods=["GET"]))
    for section in SECTIONS:
        handler = routes.change(section)

        async def change(request: Request, handler: Handler = handler) -> Response:
            return await handler(request, if_match=request.headers.get("if-match"))

        path = f"/v1/twins/{{device}}/{section}"
        app.router.routes.append(_Direct(path, change, methods=["PATCH", "POST"]))


def _add_twin(app: FastAPI, routes: TwinRoutes, base: str, kind: str) -> None:
    path = path_parameters(named="{name}" in base)
    read = answers(404, 410, description="The twin.", example=_TWIN, not_modified=True)
    # `state` is for a twin whose name is one of the words of other routes.
    for below in ("/state", ""):
        app.add_api_route(
            base + below, routes.read, methods=["GET"], responses=read,
            summary=f"Read a {kind}twin", openapi_extra=path, tags=["twins"],
        )  # fmt: skip
    app.add_api_route(
        base, routes.delete, methods=["DELETE"], tags=["twins"],
        responses=answers(404, 409, description="It is deleted.", example=_WRITTEN),
        summary=f"Delete a {kind}twin", openapi_extra=path,
    )  # fmt: skip


def _add_section(
    app: FastAPI,
    routes: TwinRoutes,
    path: str,
    section: SectionName,
    kind: str,
) -> None:
    extra = path_parameters(named="{name}" in path)
    read = answers(404, description="The section.", example=_TWIN["reported"], not_modified=True)
    written = answers(404, 409, 412, 415, description="It is on the disk.", example=_WRITTEN)
    app.add_api_route(
        path, routes.read_section(section), methods=["GET"], responses=read,
        summary=f"Read `{section}` of a {kind}twin", openapi_extra=extra, tags=["twins"],
    )  # fmt: skip
    for method in ("PATCH", "POST"):
        app.add_api_route(
            path, routes.change(section), methods=[method], responses=written,
            summary=f"Merge into `{section}` of a {kind}twin",
            openapi_extra={**extra, **_BODIES}, tags=["twins"],
        )  # fmt: skip
    app.add_api_route(
        path, routes.replace(section), methods=["PUT"], responses=written,
        summary=f"Replace `{section}` of a {kind}twin",
        openapi_extra={**extra, **_WHOLE_BODIES}, tags=["twins"],
    )  # fmt: skip


def path_parameters(*, named: bool) -> dict[str, Any]:
    """Return the part of a route's description that tells of the twin in its path."""
    pattern = "^[A-Za-z0-9_:@~-][A-Za-z0-9._:@~-]{0,127}$"
    names = ("device", "name") if named else ("device",)
    return {
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": pattern},
            }
            for name in names
        ]
    }
