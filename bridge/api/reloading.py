"""The routes that make a bridge read its permissions, or its schemas, again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import Actor, actor_of
from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response
from bridge.errors import ConfigError


def reload_routes(administration: Administration) -> list[Route]:
    """Return the routes."""
    return [
        _route("/v1/permissions/reload", administration.reload_permissions),
        _route("/v1/schemas/reload", administration.reload_schemas),
    ]


def _route(path: str, reload: Callable[[Actor], Awaitable[Mapping[str, object]]]) -> Route:
    async def answer(request: Request) -> Response:
        try:
            return json_response(await reload(actor_of(request)))
        except ConfigError as error:
            raise RequestProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"{error.message}; what was in force before stays so",
                hint=error.hint,
            ) from error

    return Route(path, answer, methods=["POST"])
