"""What the bridge answers beside the broker: administration, metrics, and HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bridge.api.metrics import serve_metrics
from bridge.api.server import serve_administration
from bridge.config import Config
from bridge.errors import AdminError
from bridge.link.base import Link
from bridge.logs import get_logger
from bridge.service.administrator import Administrator
from bridge.service.exposition import Exposition
from bridge.service.guard import Guard
from bridge.service.http_api import serve_http

_log = get_logger("bridge")


@contextlib.asynccontextmanager
async def serve(
    config: Config,
    administrator: Administrator,
    exposition: Exposition,
    guard: Guard | None,
    link: Link,
) -> AsyncIterator[tuple[str, int] | None]:
    """Answer until the end of the block.

    Administration and metrics are logged and left out where they cannot be offered: what the
    bridge is for does not depend on them.

    Yields:
        Where HTTP is answered; None where it is not.

    Raises:
        HttpError: The address or the certificate of the HTTP API cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            serving = serve_administration(administrator, config.store.path, exposition)
            await stack.enter_async_context(serving)
        except AdminError as error:
            _log.error("no administration while this bridge runs", reason=str(error))
        address = config.metrics.address
        if address is not None:
            try:
                await stack.enter_async_context(serve_metrics(exposition, address))
            except AdminError as error:
                _log.error("no metrics on TCP while this bridge runs", reason=str(error))
        serving_http = serve_http(config, administrator, guard, link, exposition)
        yield await stack.enter_async_context(serving_http)
