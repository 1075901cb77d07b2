"""Problem details with the headers that belong to them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bridge.api import problems
from bridge.api.problems import Handler, problem

RETRY_AFTER_S: Final = 1
"""When to come again where the store cannot be written."""

RETRY_NEWCOMER_S: Final = 60
"""When to come again where too many new twins were made: they are counted by the minute."""


def with_headers(response: Response) -> Response:
    """Add what clients need to go on."""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = 'Bearer realm="syncbridge"'
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["retry-after"] = str(RETRY_AFTER_S)
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        response.headers["retry-after"] = str(RETRY_NEWCOMER_S)
    response.headers["cache-control"] = "no-store"
    return response


def _completed(handler: Handler) -> Handler:
    async def answer(request: Request, error: Exception) -> Response:
        return with_headers(await handler(request, error))

    return answer


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return problem(HTTPStatus.BAD_REQUEST, f"`{where}`: {first['msg']}")


async def _gone(_request: Request, _error: Exception) -> Response:
    # Nobody hears it: the connection ended before the request did. It is nothing for the log.
    return problem(HTTPStatus.BAD_REQUEST, "the request ended before its body did")


HANDLERS: Final[dict[int | type[Exception], Handler]] = {
    kind: _completed(handler)
    for kind, handler in {
        **problems.HANDLERS,
        RequestValidationError: _invalid,
        ClientDisconnect: _gone,
    }.items()
}
