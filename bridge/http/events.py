"""Server-Sent Events (HTML standard, section 9.2): reading along with nothing but GET."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

import orjson
from fastapi import FastAPI, Header, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bridge.api.problems import RequestProblem
from bridge.errors import QueryError
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import Select, Where, answers
from bridge.http.following import (
    HEARTBEAT,
    RIGHTS_CHANGED,
    Following,
    RightsChanged,
    TooSlow,
)
from bridge.http.list_routes import Device, read_pattern
from bridge.http.reading import Selection
from bridge.http.searching import Searcher, ask_to_follow

MEDIA_TYPE: Final = "text/event-stream"

Stamp = Annotated[str | None, Query(max_length=64, description="Go on behind this stamp.")]


def add_event_route(
    app: FastAPI, backend: Backend, authenticator: Authenticator, searcher: Searcher
) -> None:
    """Add the route."""

    async def read_events(
        request: Request,
        device: Device = "*",
        where: Where = None,
        select: Select = None,
        after: Stamp = None,
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> Response:
        """Read along: first the present, then every change.

        Each change has a stamp as its id. A client that comes back sends it as `Last-Event-ID` and
        goes on behind it, without a gap or a repeat; where what it missed is not kept any more, it
        is told `reset` and begins anew. With `where`, only of twins that match, and `enter` and
        `leave` where one comes to match, or ceases to.
        """
        authorization = request.headers.get("authorization")
        principal = await authenticator.principal(authorization)
        pattern = read_pattern(device)
        asked = await ask_to_follow(backend, searcher, principal, where, pattern)
        following = Following(
            backend,
            authenticator,
            authorization,
            pattern,
            Selection(select, backend.limits) if select is not None else None,
            last_event_id or after,
            asked,
        )
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(_lines(following), media_type=MEDIA_TYPE, headers=headers)

    app.add_api_route(
        "/v1/events", read_events, methods=["GET"], tags=["push"], summary="Read along",
        responses=answers(description="Events until the client goes.", media_type=MEDIA_TYPE),
    )  # fmt: skip


async def _lines(following: Following) -> AsyncIterator[str]:
    messages = following.messages()
    try:
        async for text, stamp in messages:
            if text == HEARTBEAT:
                yield ": still here\n\n"
            elif stamp is None:
                yield f"data: {text}\n\n"
            else:
                yield f"id: {stamp}\ndata: {text}\n\n"
    except TooSlow:
        yield _closed("too slow")
    except RightsChanged:
        yield _closed(RIGHTS_CHANGED)
    except RequestProblem as problem:
        yield _closed(problem.detail)
    except QueryError as error:
        yield _closed(error.message)
    except asyncio.CancelledError:
        raise
    finally:
        await messages.aclose()  # type: ignore[attr-defined]


def _closed(reason: str) -> str:
    text = orjson.dumps({"type": "closed", "reason": reason}).decode()
    return f"event: closed\ndata: {text}\n\n"
