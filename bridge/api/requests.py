"""What stands in a request: parameters and bodies, checked."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.points import parse_point
from bridge.api.problems import RequestProblem
from bridge.core.timeline import Point
from bridge.core.topics import TwinKey, is_device_id, is_name
from bridge.core.update import SectionName

BODY_BYTES_MAX = 64 * 1024
"""Largest body of a request: a path is all that one holds."""

IDENTIFIER: Final = "1 to 128 of A-Z a-z 0-9 . _ : @ ~ -, not starting with a dot"
"""What a device id or a name is, for people."""

SHOWN_CHARACTERS: Final = 130
"""Characters of what is no device id that a problem shows."""


def json_response(value: Mapping[str, object]) -> Response:
    """Return an answer."""
    return Response(orjson.dumps(value), media_type="application/json")


def twin_key(request: Request) -> TwinKey:
    """Return the twin that the path names.

    Raises:
        RequestProblem: There can be no such twin.
    """
    device, name = request.path_params["device"], request.path_params.get("name", "")
    if not is_device_id(device):
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST,
            f"{device[:SHOWN_CHARACTERS]!r} is no device id",
            hint=f"a device id is {IDENTIFIER}",
        )
    if name and not is_name(name):
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST,
            f"{name[:SHOWN_CHARACTERS]!r} is no name of a twin",
            hint=f"a name is {IDENTIFIER}, and none of the words that topics use",
        )
    return TwinKey(device, name)


def number(request: Request, name: str, default: int, largest: int) -> int:
    """Return a parameter that is an integer from 1 on, or the default where it is not given.

    Raises:
        RequestProblem: It is something else.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= largest):
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, f"`{name}` must be an integer from 1 to {largest}"
        )
    return int(text)


def point(request: Request, name: str) -> Point | None:
    """Return a parameter that is a version or a time, None where it is not given.

    Raises:
        RequestProblem: It is neither.
    """
    text = request.query_params.get(name)
    return None if text is None else read_point(text, name)


def read_point(value: object, name: str) -> Point:
    """Return a version or a time out of a request.

    Raises:
        RequestProblem: It is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"`{name}` must be a version or a time")
    try:
        return parse_point(value, local=False)
    except ValueError as error:
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"`{name}`: {error}") from error


def read_time(parameters: Mapping[str, str], name: str) -> int | None:
    """Return a parameter that is a time, in µs since the epoch; None where it is not given.

    Raises:
        RequestProblem: It is none.
    """
    text = parameters.get(name)
    if text is None:
        return None
    point = read_point(text, name)
    if point.kind != "time":
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"`{name}` must be a time")
    return point.number


def read_section(value: object, default: SectionName | None) -> SectionName | None:
    """Return a section out of a request, or the default where it is None.

    Raises:
        RequestProblem: There is no such section.
    """
    if value is None:
        return default
    if value == "reported":
        return "reported"
    if value == "desired":
        return "desired"
    raise RequestProblem(HTTPStatus.BAD_REQUEST, "`section` must be reported or desired")


def read_writer(value: object) -> str:
    """Return a writer's name out of a request.

    Raises:
        RequestProblem: It cannot be one.
    """
    if isinstance(value, str) and is_name(value):
        return value
    raise RequestProblem(
        HTTPStatus.BAD_REQUEST,
        f"`writer` must be a name as topics have it: {IDENTIFIER}, and none of the words that "
        "topics use",
    )


async def read_body(request: Request) -> Mapping[str, object]:
    """Return the body of a request, a JSON object.

    Raises:
        RequestProblem: It is none, or too large.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise RequestProblem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a body has at most {BODY_BYTES_MAX} bytes",
            )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestProblem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise RequestProblem(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return value
