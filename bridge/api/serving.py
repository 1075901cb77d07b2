"""An application of HTTP in the bridge's event loop, with uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUESTS_MAX = 32
"""Requests at the same time: an operator and some scripts."""

GRACE_S = 3
"""How long the end waits for answers that are under way."""


_TURNS = 3
"""Of the event loop, after which it is known who has just come, and who has just gone."""


class Server(uvicorn.Server):
    """A server that leaves signals to the bridge, and does not look ten times a second for its end.

    It is most of what a bridge does that has nothing to do.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Finish what is under way, and return from `serve`."""
        self.should_exit = True
        self._ending.set()

    async def main_loop(self) -> None:
        """Wait for the end."""
        await self.on_tick(0)
        await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way; uvicorn would wait for 100 ms also where that is nothing."""
        for server in self.servers:
            server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self.server_state.connections or self.server_state.tasks:
            await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take over no signal."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: Starlette,
    listener: socket.socket,
    name: str,
    protocol: type[H11Protocol] = H11Protocol,
) -> AsyncIterator[None]:
    """Answer requests until the end of the block, and close the listener then.

    Args:
        app: The application.
        listener: Where it listens.
        name: Of the task.
        protocol: What takes the connections.
    """
    server = Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # It would be that of the start.
            proxy_headers=False,
            limit_concurrency=REQUESTS_MAX,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    with contextlib.closing(listener):
        async with running(server, listener, name):
            yield


@contextlib.asynccontextmanager
async def running(server: Server, listener: socket.socket, name: str) -> AsyncIterator[None]:
    """Run a server until the end of the block."""
    task = asyncio.create_task(server.serve(sockets=[listener]), name=name)
    try:
        yield
    finally:
        server.end()
        await task
