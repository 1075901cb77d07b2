"""Starts the HTTP API of a bridge, where one is configured."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bridge.config import Config
from bridge.link.base import Link
from bridge.logs import get_logger
from bridge.service.administrator import Administrator
from bridge.service.exposition import Exposition
from bridge.service.guard import Guard

_log = get_logger("bridge.http")


@contextlib.asynccontextmanager
async def serve_http(
    config: Config,
    administrator: Administrator,
    guard: Guard | None,
    link: Link,
    exposition: Exposition,
) -> AsyncIterator[tuple[str, int] | None]:
    """Answer HTTP until the end of the block, or do nothing where `http.listen` is not set.

    Args:
        config: All settings.
        administrator: Gets at the store and the pipeline.
        guard: Knows the permissions; None where everyone may do everything.
        link: The connection to the broker, of which readiness tells.
        exposition: The metrics.

    Yields:
        Where HTTP is answered; None where it is not.

    Raises:
        HttpError: The address or the certificate cannot be used.
    """
    if config.http.listen is None:
        yield None
        return
    # Only here: who serves no HTTP does not wait for it to be imported.
    from bridge.http import serve_http as serve
    from bridge.service.http_backend import HttpBackend

    backend = HttpBackend(config, administrator, guard, link)
    async with serve(backend, config.http, exposition) as address:
        host, port = address
        scheme = "http" if config.http.certificate_file is None else "https"
        _log.info("HTTP is answered", url=f"{scheme}://{host}:{port}", docs="/docs")
        if guard is None:
            _log.warning(
                "no permissions are configured: whoever reaches it may do everything over HTTP",
                hint="set permissions.file, and make tokens: syncbridge tokens create",
            )
        yield address
