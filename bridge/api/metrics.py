"""The route on which Prometheus reads, and a port of its own for it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.api.serving import serving
from bridge.errors import AdminError

Exposed: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Takes what the client accepts, and returns all metrics and their media type."""


def metrics_route(exposed: Exposed) -> Route:
    """Return `/metrics`, for any application in the bridge's event loop."""

    async def read(request: Request) -> Response:
        return await metrics_response(request, exposed)

    return Route("/metrics", read)


async def metrics_response(request: Request, exposed: Exposed) -> Response:
    """Return the metrics as a client accepts them."""
    body, media_type = await exposed(request.headers.get("accept", ""))
    # As it is: Starlette would add a charset to a text that names one.
    return Response(body, headers={"content-type": media_type, "cache-control": "no-store"})


@contextlib.asynccontextmanager
async def serve_metrics(exposed: Exposed, address: tuple[str, int]) -> AsyncIterator[int]:
    """Answer `/metrics` on a port of TCP, until the end of the block.

    Args:
        exposed: The metrics.
        address: Host and port; port 0 takes a free one.

    Yields:
        The port.

    Raises:
        AdminError: Nothing can listen there.
    """
    listener = _listen(*address)
    async with serving(Starlette(routes=[metrics_route(exposed)]), listener, "metrics"):
        yield listener.getsockname()[1]


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise AdminError(
            f"nothing can listen on {host}, port {port}: {error.strerror}",
            hint="choose another address with metrics.listen",
        ) from error
