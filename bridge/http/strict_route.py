"""Routes that know what may be asked of them: a parameter that is misspelled is no parameter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.problems import RequestProblem

SHOWN_CHARACTERS: Final = 80
"""Characters of a parameter's name that a problem shows."""


class StrictRoute(APIRoute):
    """A route that refuses parameters which it does not have: ignored, they would mislead."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handler = super().get_route_handler()
        allowed = frozenset(field.alias for field in self.dependant.query_params)

        async def handle(request: Request) -> Response:
            check_parameters(request.query_params.keys(), allowed)
            return await handler(request)

        return handle


def check_parameters(given: Iterable[str], allowed: Collection[str]) -> None:
    """Refuse parameters that there are not.

    Raises:
        RequestProblem: One of them is such a one.
    """
    for name in given:
        if name not in allowed:
            there_are = ", ".join(sorted(allowed)) or "none"
            raise RequestProblem(
                HTTPStatus.BAD_REQUEST,
                f"`{name[:SHOWN_CHARACTERS]}` is no parameter here: there are {there_are}",
            )
