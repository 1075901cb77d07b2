"""The route of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, number, read_time
from bridge.core.limits import INTEGER_MAX
from bridge.store.audit import AuditFilter, AuditRow

LIMIT_DEFAULT: Final = 50

LIMIT_MAX: Final = 200
"""Most acts in one answer."""

TEXT_CHARACTERS: Final = 300
"""Longest text that is looked for."""


def audit_route(administration: Administration) -> Route:
    """Return the route."""

    async def list_page(request: Request) -> Response:
        limit = number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX)
        before = number(request, "before", 0, INTEGER_MAX) or None
        parameters = request.query_params
        wanted = AuditFilter(
            _text(parameters, "act"),
            _text(parameters, "who"),
            _text(parameters, "target"),
            read_time(parameters, "since"),
            read_time(parameters, "until"),
        )
        found = await administration.run_store(lambda store: store.audit(limit, before, wanted))
        following = found[-1].id if len(found) == limit else None
        return json_response({"audit": [*map(_described, found)], "next": following})

    return Route("/v1/audit", list_page)


def _text(parameters: Mapping[str, str], name: str) -> str | None:
    text = parameters.get(name)
    if text is not None and not 0 < len(text) <= TEXT_CHARACTERS:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, f"`{name}` must have 1 to {TEXT_CHARACTERS} characters"
        )
    return text


def _described(row: AuditRow) -> Mapping[str, object]:
    return {
        "id": row.id,
        "at": row.at,
        "via": row.via,
        "who": row.who,
        "act": row.act,
        "target": row.target,
        "outcome": row.outcome,
        "details": orjson.Fragment(row.details),
    }
