"""Queries on the command line: one that cannot be read is a wrong command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http import HTTPStatus

from bridge.errors import AdminRefused


@contextlib.contextmanager
def reading_query(where: str) -> Iterator[None]:
    """Tell a query that cannot be read from one that could not be answered.

    Raises:
        QueryError: The bridge has refused the request, and the query is not of the language.
        AdminRefused: The bridge has refused it for another reason.
    """
    try:
        yield
    except AdminRefused as error:
        if error.status == HTTPStatus.BAD_REQUEST:
            # Only now: the parser takes longer to import than the bridge to answer.
            from bridge.api.queries import check_query

            check_query(where)
        raise
