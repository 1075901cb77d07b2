"""Problem details with the headers that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.problems import (
    RequestProblem,
    RequestRefused,
    on_error,
    on_http_exception,
    on_request_problem,
    on_request_refused,
    on_syncbridge_error,
    problem,
)
from bridge.errors import SyncbridgeError

Handler: TypeAlias = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

RETRY_AFTER_S: Final = 1
"""When to come again where the store cannot be written."""


def with_headers(response: Response) -> Response:
    """Add what clients need to go on."""
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = 'Bearer realm="syncbridge"'
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["retry-after"] = str(RETRY_AFTER_S)
    response.headers["cache-control"] = "no-store"
    return response


async def _problem(request: Request, error: Exception) -> Response:
    return with_headers(await on_request_problem(request, error))


async def _refused(request: Request, error: Exception) -> Response:
    return with_headers(await on_request_refused(request, error))


async def _syncbridge(request: Request, error: Exception) -> Response:
    return with_headers(await on_syncbridge_error(request, error))


async def _http(request: Request, error: Exception) -> Response:
    return with_headers(await on_http_exception(request, error))


async def _failed(request: Request, error: Exception) -> Response:
    return with_headers(await on_error(request, error))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as registered
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return with_headers(problem(HTTPStatus.BAD_REQUEST, f"`{where}`: {first['msg']}"))


HANDLERS: Final[dict[int | type[Exception], Handler]] = {
    RequestProblem: _problem,
    RequestRefused: _refused,
    SyncbridgeError: _syncbridge,
    HTTPException: _http,
    RequestValidationError: _invalid,
    Exception: _failed,
}
