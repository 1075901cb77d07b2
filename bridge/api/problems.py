"""Errors as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bridge.core.refusal import Refusal
from bridge.errors import (
    QueryError,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    SyncbridgeError,
)
from bridge.logs import get_logger

MEDIA_TYPE = "application/problem+json"

# The first that fits counts, so the more special classes stand above.
_STATUS: tuple[tuple[type[SyncbridgeError], HTTPStatus], ...] = (
    (QueryError, HTTPStatus.BAD_REQUEST),
    (StoreUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (StoreCorrupt, HTTPStatus.INTERNAL_SERVER_ERROR),
    (StoreError, HTTPStatus.CONFLICT),
    (SyncbridgeError, HTTPStatus.INTERNAL_SERVER_ERROR),
)

_log = get_logger("bridge.api")


class RequestProblem(Exception):
    """A request that cannot be carried out.

    Attributes:
        status: HTTP's status code.
        detail: What is wrong with it, for people.
        hint: What to do about it; empty where nothing can be said.
    """

    def __init__(self, status: HTTPStatus, detail: str, *, hint: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint


class RequestRefused(Exception):
    """A change of a twin that was refused, as one that came by MQTT would have been.

    Attributes:
        refusal: The refusal.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def problem(
    status: HTTPStatus, detail: str, hint: str = "", error: str = "", position: int = 0
) -> Response:
    """Return a response that describes a problem.

    The `type` is about:blank, so that `title` is HTTP's own phrase; `hint` says what to do,
    `error` is the short name of a refusal, and `position` the character of a query, from 1.
    """
    body = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    body |= {name: text for name, text in (("hint", hint), ("error", error)) if text}
    if position:
        body["position"] = position
    return Response(orjson.dumps(body), status, media_type=MEDIA_TYPE)


async def on_request_problem(_request: Request, error: Exception) -> Response:
    """Answer a `RequestProblem`."""
    assert isinstance(error, RequestProblem)  # noqa: S101 - Starlette passes what is registered
    return problem(error.status, error.detail, error.hint)


async def on_request_refused(_request: Request, error: Exception) -> Response:
    """Answer a `RequestRefused`."""
    assert isinstance(error, RequestRefused)  # noqa: S101
    code, name, message = error.refusal
    return problem(HTTPStatus(code), message, error=name)


async def on_syncbridge_error(_request: Request, error: Exception) -> Response:
    """Answer an error of the project."""
    assert isinstance(error, SyncbridgeError)  # noqa: S101
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    position = error.position if isinstance(error, QueryError) else 0
    return problem(status, error.message, error.hint, position=position)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    response = problem(status, f"{request.method} {request.url.path}: {status.phrase}")
    response.headers.update(error.headers or {})
    return response


async def on_error(request: Request, error: Exception) -> Response:
    """Answer an error in the program; the bridge itself goes on."""
    _log.error("an administrative request failed", path=request.url.path, exc_info=error)
    response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error in the program; see the log")
    # The server ends the connection of a request that failed: the client is not to use it again.
    response.headers["connection"] = "close"
    return response


Handler: TypeAlias = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

HANDLERS: Final[dict[type[Exception], Handler]] = {
    RequestProblem: on_request_problem,
    RequestRefused: on_request_refused,
    SyncbridgeError: on_syncbridge_error,
    HTTPException: on_http_exception,
    Exception: on_error,
}
"""What answers each error of an application."""
