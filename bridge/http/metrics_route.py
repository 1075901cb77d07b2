"""`/metrics` on the open API: for Prometheus, by token or for everyone."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from bridge.api.metrics import Exposed, metrics_response
from bridge.api.problems import RequestRefused
from bridge.config_http import EVERYONE
from bridge.core.refusal import Refusal
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import answers

OPENMETRICS: Final = "application/openmetrics-text"


def add_metrics_route(
    app: FastAPI,
    backend: Backend,
    authenticator: Authenticator,
    exposed: Exposed,
    readers: AbstractSet[str],
) -> None:
    """Add the route.

    Args:
        app: The application.
        backend: Tells whether there are permissions: without them everyone may read.
        authenticator: Tells who asks.
        exposed: The metrics.
        readers: Principals that may read them; with `EVERYONE`, whoever asks.
    """

    async def read_metrics(request: Request) -> Response:
        """Read the metrics, in Prometheus' text or as OpenMetrics.

        `http.metrics` says who may.
        """
        if EVERYONE not in readers:
            principal = await authenticator.principal_of(request)
            if backend.permissions is not None and principal not in readers:
                why = f"{principal} may not read the metrics: http.metrics says who may"
                raise RequestRefused(Refusal(403, "forbidden", why))
        return await metrics_response(request, exposed)

    responses = answers(description="The metrics.", media_type="text/plain")
    responses[200]["content"][OPENMETRICS] = {"schema": {}}
    app.add_api_route(
        "/metrics", read_metrics, methods=["GET"], tags=["health"], summary="Read the metrics",
        responses=responses,
    )  # fmt: skip
