"""Versions as entity tags (RFC 9110, section 8.8.3)."""

from __future__ import annotations

import re
from http import HTTPStatus

from bridge.api.problems import RequestProblem
from bridge.core.limits import INTEGER_MAX

_TAG = re.compile(r'(?:W/)?"([0-9]{1,19})"\Z')


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'"{version}"'


def matches(header: str, version: int) -> bool:
    """Tell whether an `If-None-Match` names a version."""
    tag = etag(version)
    if header == tag:
        return True
    tags = [part.strip().removeprefix("W/") for part in header.split(",")]
    return tag in tags or "*" in tags


def read_if_match(header: str | None) -> int | None:
    """Return the version in an `If-Match`, None where there is none.

    Raises:
        RequestProblem: It is not one entity tag of a version.
    """
    if header is None:
        return None
    found = _TAG.match(header.strip())
    if found is None or int(found[1]) > INTEGER_MAX:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST, 'If-Match must be one ETag of the API, such as "14"'
        )
    return int(found[1])
