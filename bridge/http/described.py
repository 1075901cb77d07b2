"""What the OpenAPI document says of answers and parameters, said once."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header, Path, Query

from bridge.query.language import LENGTH_MAX

_IDENTIFIER: Final = r"^[A-Za-z0-9_:@~-][A-Za-z0-9._:@~-]{0,127}$"

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "error": {"type": "string"},
        "position": {"type": "integer", "minimum": 1},
    },
}

_PROBLEM_TITLES: Final = {
    400: "The request cannot be understood.",
    401: "There is no token, or it is not valid.",
    403: "The permissions do not allow it, or the web page may not use the API.",
    404: "There is no such twin, or nothing else of that name.",
    405: "There is no such method here.",
    406: "Not acceptable.",
    409: "It contradicts what is there.",
    410: "That is not kept any more.",
    412: "The section has changed since the version in If-Match.",
    413: "Too large.",
    415: "That kind of content is not taken.",
    421: "This host is not served here.",
    422: "The content is not allowed.",
    429: "Too many requests; Retry-After says when to come again.",
    500: "An error in the program.",
    503: "The store cannot be written now.",
}

_OBJECT: Final = {"type": "object"}


def answers(
    *problems: int,
    description: str,
    example: object = None,
    media_type: str = "application/json",
    not_modified: bool = False,
) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route.

    Args:
        problems: Statuses beside those that every route has.
        description: Of the answer with 200.
        example: Of its body, or None.
        media_type: Of that answer.
        not_modified: It also answers 304.
    """
    shown: dict[str, Any] = {"schema": {} if media_type.startswith("text/") else _OBJECT}
    if example is not None:
        shown["example"] = example
    content = {media_type: shown}
    if media_type == "application/json":
        content["application/msgpack"] = {"schema": {}}
    found: dict[int | str, dict[str, Any]] = {200: {"description": description, "content": content}}
    if not_modified:
        found[304] = {"description": "The version in If-None-Match is the present one."}
    for status in sorted({400, 401, 403, 413, 421, 422, 429, 503, *problems}):
        found[status] = {
            "description": _PROBLEM_TITLES[status],
            "content": {"application/problem+json": {"schema": PROBLEM_SCHEMA}},
        }
    return found


def body(*examples: tuple[str, object], required: bool = True) -> dict[str, Any]:
    """Return the part of a route's description that tells of its body.

    Args:
        examples: A media type, and an example for it.
        required: It has to be there.
    """
    content = {
        media_type: {
            "schema": {"type": "array", "items": _OBJECT}
            if media_type.endswith("json-patch+json")
            else _OBJECT,
            "example": example,
        }
        for media_type, example in examples
    }
    return {"requestBody": {"required": required, "content": content}}


Device = Annotated[str, Path(pattern=_IDENTIFIER, description="The device.", examples=["lamp-1"])]
Name = Annotated[str, Path(pattern=_IDENTIFIER, description="The twin's name.", examples=["setup"])]
Select = Annotated[
    str | None,
    Query(description="Paths, separated by commas: `reported.temp,desired`.", max_length=2000),
]
Where = Annotated[
    str | None,
    Query(
        description="Only twins that match, as in SQL: `reported.battery < 20 AND online`.",
        max_length=LENGTH_MAX,
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(description="ETag of what the client has: 304 if that is current.")
]
IfMatch = Annotated[
    str | None, Header(description="ETag: write only if the section has not changed since.")
]
