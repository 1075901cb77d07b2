"""Runs administration inside the bridge's event loop, with uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvicorn

from bridge.api.admin import create_app
from bridge.api.administration import Administration
from bridge.api.socket_file import listen, socket_path

REQUESTS_MAX = 32
"""Requests at the same time: an operator and some scripts."""

GRACE_S = 3
"""How long the end waits for answers that are under way."""


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

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take over no signal."""
        yield


@contextlib.asynccontextmanager
async def serve_administration(
    administration: Administration, store_path: Path
) -> AsyncIterator[Path]:
    """Answer administrative requests until the end of the block.

    The block has to end before the store is closed.

    Args:
        administration: The holder of the store.
        store_path: The store; the socket lies beside it.

    Yields:
        The socket's path.

    Raises:
        AdminError: The socket cannot be made, or somebody else answers on it.
    """
    path = socket_path(store_path)
    listener = listen(path)
    inode = path.stat().st_ino
    server = _make_server(administration, store_path)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="administration")
    try:
        yield path
    finally:
        server.end()
        await serving
        listener.close()
        # Another bridge may have taken its place after the store was moved away.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()


def _make_server(administration: Administration, store_path: Path) -> Server:
    return Server(
        uvicorn.Config(
            create_app(administration, store_path.resolve()),
            http="h11",
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
