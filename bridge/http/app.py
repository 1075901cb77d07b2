"""The application: all routes of the open API."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bridge import __version__
from bridge.api.admin import answer_health
from bridge.api.metrics import Exposed
from bridge.api.problems import RequestProblem
from bridge.api.requests import json_response
from bridge.config_http import HttpConfig
from bridge.http.authentication import Authenticator
from bridge.http.backend import Backend
from bridge.http.described import answers
from bridge.http.events import add_event_route
from bridge.http.fleet_routes import FleetRoutes, add_fleet_routes
from bridge.http.gate import Gate
from bridge.http.list_routes import add_list_route
from bridge.http.metrics_route import add_metrics_route
from bridge.http.page import CONTENT_SECURITY_POLICY, render_page
from bridge.http.past_routes import PastRoutes, add_past_routes
from bridge.http.problems import HANDLERS
from bridge.http.quarantine_routes import add_quarantine_routes
from bridge.http.searching import Searcher
from bridge.http.stream import add_stream_route
from bridge.http.strict_route import StrictRoute
from bridge.http.twin_routes import TwinRoutes, add_named_twin_routes, add_twin_routes

_DESCRIPTION: Final = (
    "Device twins: read them, change them, and hear of every change. "
    "An answer with 2xx to a write means that it is on the disk."
)


def create_app(
    backend: Backend,
    config: HttpConfig,
    clock: Callable[[], float],
    exposed: Exposed | None = None,
) -> Gate:
    """Return the application.

    Args:
        backend: The holder of the twins.
        config: The bounds.
        clock: Monotonic time in seconds.
        exposed: Metrics for `/metrics`; None where there are none.
    """
    app = FastAPI(
        title="syncbridge",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    app.router.route_class = StrictRoute
    authenticator = Authenticator(backend, clock)
    searcher = Searcher(backend, config.stream_queries)
    twins = TwinRoutes(backend, authenticator, config.body_bytes)
    # What is asked for most stands first: routes are tried in this order.
    add_twin_routes(app, twins)
    _add_health(app, backend)
    if exposed is not None:
        add_metrics_route(app, backend, authenticator, exposed, config.metrics_readers)
    add_list_route(app, backend, authenticator, searcher)
    add_past_routes(app, PastRoutes(backend, authenticator, config.body_bytes))
    add_quarantine_routes(app, backend, authenticator)
    add_event_route(app, backend, authenticator, searcher)
    add_stream_route(app, backend, authenticator, searcher)
    add_fleet_routes(app, FleetRoutes(backend, authenticator, config.body_bytes))
    add_named_twin_routes(app, twins)
    _add_page(app)
    return Gate(app, config, clock)


def _add_health(app: FastAPI, backend: Backend) -> None:
    async def health() -> Response:
        """Tell whether the store answers. Needs no token."""
        return await answer_health(backend)

    async def ready() -> Response:
        """Tell whether the bridge is connected to its broker, too. Needs no token."""
        await health()
        if not backend.is_connected:
            raise RequestProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "the bridge is not connected to its broker"
            )
        return json_response({"status": "ready", "version": __version__})

    for path, handler in (("/healthz", health), ("/readyz", ready)):
        app.add_api_route(
            path, handler, methods=["GET"], tags=["health"],
            responses=answers(description="It is.", example={"status": "ok"}),
        )  # fmt: skip


def _add_page(app: FastAPI) -> None:
    async def docs(request: Request) -> Response:
        page = render_page(app.openapi(), str(request.base_url))
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY}
        return HTMLResponse(page, headers=headers)

    app.add_api_route("/docs", docs, include_in_schema=False)
