"""The route about what is retained at the broker and belongs to no twin."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.acting import act, actor_of
from bridge.api.administration import Administration
from bridge.api.orphans import BELOW_TWIN, RetainedTopic
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response, read_body
from bridge.core.topics import TwinKey, is_device_id, is_name

TOPICS_MAX: Final = 200
"""Most topics in one request: with names of the largest size that fits into a body."""


def retained_routes(administration: Administration) -> list[Route]:
    """Return the route.

    With `announce` whoever asks clears what is found itself, and the audit trail says so.
    """

    async def orphans(request: Request) -> Response:
        body = await read_body(request)
        given = body.get("topics")
        clear, announce = body.get("clear", False), body.get("announce", False)
        if (
            not isinstance(given, list)
            or len(given) > TOPICS_MAX
            or not isinstance(clear, bool)
            or not isinstance(announce, bool)
        ):
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST,
                f"`topics` must be an array of at most {TOPICS_MAX}, `clear` and `announce` true "
                "or false",
            )
        topics = [_read(each) for each in given]
        done = act(actor_of(request), "retained.clear", topics=len(topics))
        found = await administration.find_orphans(topics, clear=clear, act=done)
        if announce and found and not clear:
            await administration.run_store(lambda store: store.record([done]))
        return json_response(
            {
                "orphans": [
                    {
                        "device": orphan.topic.key.device,
                        "name": orphan.topic.key.name,
                        "below": orphan.topic.below,
                        "reason": orphan.reason,
                    }
                    for orphan in found
                ]
            }
        )

    return [Route("/v1/retained/orphans", orphans, methods=["POST"])]


def _read(given: object) -> RetainedTopic:
    if isinstance(given, Mapping):
        device, name, below = given.get("device"), given.get("name", ""), given.get("below")
        if (
            isinstance(device, str)
            and is_device_id(device)
            and isinstance(name, str)
            and (not name or is_name(name))
            and isinstance(below, str)
            and below in BELOW_TWIN
            and not (name and below == "presence")
        ):
            return RetainedTopic(TwinKey(device, name), below)
    raise RequestProblem(
        HTTPStatus.BAD_REQUEST,
        f"a topic has `device`, `name` and `below`, one of {', '.join(BELOW_TWIN)}",
    )
