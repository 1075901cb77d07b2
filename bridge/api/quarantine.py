"""The quarantine for administration: list what was refused, look at one message, clear."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import act, actor_of
from bridge.api.administration import Administration
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, number, read_time
from bridge.core.limits import INTEGER_MAX
from bridge.core.topics import is_device_id
from bridge.store.base import Store
from bridge.store.quarantined import EVERYTHING, QuarantinedMessage, QuarantineFilter

LIMIT_DEFAULT: Final = 50

LIMIT_MAX: Final = 100
"""Most messages in one answer."""

SHOWN_BYTES: Final = 1024
"""Bytes of each payload in a list; one message is shown with all that is kept of it."""

CLEARED_AT_ONCE: Final = 10_000
"""Messages that one request clears: commits wait for it."""

REASON_CHARACTERS: Final = 64

_FILTERS: Final = ("device", "reason", "since", "until")


def quarantine_routes(administration: Administration) -> list[Route]:
    """Return the routes."""
    routes = _Routes(administration)
    return [
        Route("/v1/quarantine", routes.list_page, methods=["GET"]),
        Route("/v1/quarantine", routes.clear, methods=["DELETE"]),
        Route("/v1/quarantine/{id:int}", routes.show, methods=["GET"]),
    ]


class _Routes:
    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def list_page(self, request: Request) -> Response:
        """List messages, the newest first."""
        limit = number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX)
        before = number(request, "before", 0, INTEGER_MAX) or None
        wanted = read_filter(request.query_params)
        found = await self._administration.run_store(
            lambda store: store.quarantine(limit, before, wanted, SHOWN_BYTES)
        )
        following = found[-1].id if len(found) == limit else None
        return json_response({"quarantine": [*map(described, found)], "next": following})

    async def show(self, request: Request) -> Response:
        """Answer with one message, and all that is kept of it."""
        message_id = min(int(request.path_params["id"]), INTEGER_MAX)
        found = await self._administration.run_store(lambda store: store.quarantined(message_id))
        if found is None:
            raise missing(message_id)
        return json_response(described(found))

    async def clear(self, request: Request) -> Response:
        """Clear messages, or tell which would be."""
        parameters = request.query_params
        wanted = read_filter(parameters)
        if wanted == EVERYTHING and parameters.get("all") != "true":
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST,
                f"name what is to be cleared with {', '.join(_FILTERS)}, or `all=true`",
            )
        is_dry = parameters.get("dry_run") == "true"
        actor = actor_of(request)

        def work(store: Store) -> tuple[int, int, int]:
            count, size_bytes = store.count_quarantine(wanted)
            cleared = 0
            if count and not is_dry:
                filters = {name: value for name, value in wanted._asdict().items() if value}
                row = act(actor, "quarantine.clear", wanted.device or "", found=count, **filters)
                cleared = store.clear_quarantine(wanted, CLEARED_AT_ONCE, row)
            return count, size_bytes, cleared

        count, size_bytes, cleared = await self._administration.run_store(work)
        return json_response({"found": count, "size_bytes": size_bytes, "cleared": cleared})


def read_filter(parameters: Mapping[str, str]) -> QuarantineFilter:
    """Return which messages a request means.

    Raises:
        RequestProblem: There can be no such ones.
    """
    device, reason = parameters.get("device"), parameters.get("reason")
    if device is not None and not is_device_id(device):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, "`device` must be a device id")
    if reason is not None and not 0 < len(reason) <= REASON_CHARACTERS:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, "`reason` must be the short name of a refusal, as in `error`"
        )
    since, until = read_time(parameters, "since"), read_time(parameters, "until")
    return QuarantineFilter(device, reason, since, until)


def missing(message_id: int) -> RequestProblem:
    """Return the problem of a message that is not there."""
    return RequestProblem(
        HTTPStatus.NOT_FOUND, f"there is no message {message_id} in the quarantine"
    )


def described(message: QuarantinedMessage) -> Mapping[str, object]:
    """Describe a message; what is shown of its payload is text where it is UTF-8, else base64."""
    answer: dict[str, object] = {
        "id": message.id,
        "at": message.at,
        "device": message.device,
        "writer": message.writer,
        "topic": message.topic,
        "code": message.code,
        "error": message.error,
        "message": message.message,
        "size_bytes": message.size_bytes,
    }
    if message.withheld:
        answer["withheld"] = message.withheld
        return answer
    is_cut = len(message.payload) < message.size_bytes
    try:
        # A character that the cut goes through does not make bytes of a text.
        text = codecs.getincrementaldecoder("utf-8")().decode(message.payload, final=not is_cut)
    except UnicodeDecodeError:
        answer["payload_base64"] = base64.b64encode(message.payload).decode("ascii")
    else:
        answer["payload"] = text
    return answer
