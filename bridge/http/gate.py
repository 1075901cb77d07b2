"""What is looked at before a request is: where it comes from, for which host, and how often."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.api.problems import problem
from bridge.config_http import HttpConfig

ADDRESSES: Final = 10_000
"""Addresses whose requests are counted; the one that was quiet for longest is forgotten."""

WINDOW_S: Final = 60.0

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class _Count:
    __slots__ = ("began_s", "requests")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.requests = 0


class Gate:
    """Lets requests through to an application, or answers them itself.

    Args:
        app: The application.
        config: What is let through.
        clock: Monotonic time in seconds.
    """

    def __init__(self, app: ASGIApp, config: HttpConfig, clock: Callable[[], float]) -> None:
        self._app = app
        self._hosts = config.allowed_hosts
        self._origins = config.allowed_origins
        self._proxy = config.proxy
        self._limit = config.requests_per_minute
        self._clock = clock
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        host, origin = _host_and_origin(scope)
        refusal = self._refuse(scope, host, origin)
        count = self._count(scope)
        if refusal is None and count.requests > self._limit:
            refusal = self._too_many(count)
        if refusal is not None:
            await _answer(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        fields = self._rate_fields(count)

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *fields]
            await send(message)

        await self._app(scope, receive, send_with_fields)

    def _refuse(self, scope: Scope, host: str, origin: str | None) -> Response | None:
        if self._proxy is not None and scope.get("syncbridge.peer") != self._proxy:
            return problem(HTTPStatus.FORBIDDEN, "only the proxy may connect", "see http.proxy")
        if _without_port(host) not in self._hosts:
            return problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this host is not served here",
                "http.hosts says which names are",
            )
        reads_only = scope["type"] == "http" and scope["method"] in _SAFE
        if origin is not None and not reads_only and origin not in self._origins:
            return problem(
                HTTPStatus.FORBIDDEN,
                "web pages of this origin may not use the API",
                "http.origins says which may",
            )
        return None

    def _count(self, scope: Scope) -> _Count:
        client = scope.get("client")
        address = client[0] if client else ""
        now = self._clock()
        count = self._counts.get(address)
        if count is None or now - count.began_s >= WINDOW_S:
            count = self._counts[address] = _Count(now)
            self._counts.move_to_end(address)
            if len(self._counts) > ADDRESSES:
                self._counts.popitem(last=False)
        count.requests += 1
        return count

    def _reset_s(self, count: _Count) -> int:
        return max(1, int(count.began_s + WINDOW_S - self._clock()) + 1)

    def _rate_fields(self, count: _Count) -> list[tuple[bytes, bytes]]:
        return [
            (b"ratelimit-limit", b"%d" % self._limit),
            (b"ratelimit-remaining", b"%d" % max(0, self._limit - count.requests)),
            (b"ratelimit-reset", b"%d" % self._reset_s(count)),
        ]

    def _too_many(self, count: _Count) -> Response:
        response = problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"more than {self._limit} requests in a minute",
            "http.requests_per_minute is the limit",
        )
        response.headers["retry-after"] = str(self._reset_s(count))
        response.raw_headers.extend(self._rate_fields(count))
        return response


def _host_and_origin(scope: Scope) -> tuple[str, str | None]:
    host, origin = "", None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value.decode("latin-1").lower()
        elif name == b"origin":
            origin = value.decode("latin-1").lower()
    return host, origin


def _without_port(host: str) -> str:
    if host.endswith("]"):
        return host
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


async def _answer(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        # Before it is accepted: the client sees 403.
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    await response(scope, receive, send)
