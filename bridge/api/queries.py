"""The route of queries: which twins are what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.administration import Administration, run_beside
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, number
from bridge.core.topics import TwinKey, is_device_id, is_name
from bridge.errors import QueryError
from bridge.query.language import parse_field, parse_where
from bridge.query.matching import read_field
from bridge.query.terms import Field, Term
from bridge.store.base import Store

QUERY_LIMIT_DEFAULT = 50

QUERY_LIMIT_MAX = 200
"""Most twins in one answer."""

SELECT_MAX = 32
"""Most fields that one request may ask for."""

QUERIES_MAX = 4
"""Most queries at the same time; more wait. Each has a thread and a reader of its own."""


def query_route(administration: Administration) -> Route:
    """Return the route."""
    running = asyncio.Semaphore(QUERIES_MAX)

    async def query(request: Request) -> Response:
        """List twins."""
        parameters = request.query_params
        where = parameters.get("where")
        fields = _fields(parameters.get("select"))
        after = _after(parameters.get("after"))
        limit = number(request, "limit", QUERY_LIMIT_DEFAULT, QUERY_LIMIT_MAX)

        def answer(store: Store) -> dict[str, object]:
            term: Term | None = None if where is None else parse_where(where)
            found = store.find(term, after, limit)
            rows = [_row(key, state, fields) for key, state in found]
            last = "/".join(filter(None, found[-1][0])) if len(found) == limit else None
            return {"twins": rows, "after": last}

        async with running:
            return json_response(await run_beside(administration, answer))

    return Route("/v1/twins", query)


def check_query(where: str) -> None:
    """Raise `QueryError` where a query is not of the language."""
    parse_where(where)


def _row(key: TwinKey, state: bytes, fields: tuple[Field, ...]) -> dict[str, object]:
    document: Mapping[str, object] = orjson.loads(state)
    head: dict[str, object] = {"device": key.device, "name": key.name}
    if not fields:
        return {**head, **document}
    whole = {**document, **head}
    selected = {".".join(field.path): read_field(field, whole) for field in fields}
    return {**head, "selected": selected}


def _fields(text: str | None) -> tuple[Field, ...]:
    if text is None:
        return ()
    parts = text.split(",")
    if len(parts) > SELECT_MAX:
        raise QueryError(f"`select` names {len(parts)} fields; {SELECT_MAX} are allowed")
    return tuple(parse_field(part.strip()) for part in parts)


def _after(text: str | None) -> TwinKey | None:
    if text is None:
        return None
    device, slash, name = text.partition("/")
    if not is_device_id(device) or (slash and not is_name(name)):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, "`after` must be DEVICE or DEVICE/NAME")
    return TwinKey(device, name)
