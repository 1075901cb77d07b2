"""Runs administration inside the bridge's event loop, with uvicorn."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bridge.api.admin import create_app
from bridge.api.administration import KeyAdministration
from bridge.api.metrics import Exposed
from bridge.api.serving import serving
from bridge.api.socket_file import listen, socket_path


@contextlib.asynccontextmanager
async def serve_administration(
    administration: KeyAdministration, store_path: Path, exposed: Exposed | None = None
) -> AsyncIterator[Path]:
    """Answer administrative requests until the end of the block.

    The block has to end before the store is closed.

    Args:
        administration: The holder of the store.
        store_path: The store; the socket lies beside it.
        exposed: Metrics for `/metrics`; None where there are none.

    Yields:
        The socket's path.

    Raises:
        AdminError: The socket cannot be made, or somebody else answers on it.
    """
    path = socket_path(store_path)
    listener = listen(path)
    inode = path.stat().st_ino
    app = create_app(administration, path.with_suffix(""), exposed)
    try:
        async with serving(app, listener, "administration"):
            yield path
    finally:
        # Another bridge may have taken its place after the store was moved away.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()
