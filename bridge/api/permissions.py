"""The route that makes a bridge read its permissions again."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import actor_of
from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response
from bridge.errors import ConfigError


def permissions_route(administration: Administration) -> Route:
    """Return the route."""

    async def reload(request: Request) -> Response:
        try:
            answer = await administration.reload_permissions(actor_of(request))
        except ConfigError as error:
            raise RequestProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"{error.message}; what was in force before stays so",
                hint=error.hint,
            ) from error
        return json_response(answer)

    return Route("/v1/permissions/reload", reload, methods=["POST"])
