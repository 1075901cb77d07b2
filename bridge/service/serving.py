"""What the bridge answers beside the broker: administration, and metrics."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from bridge.api.administration import Administration
from bridge.api.metrics import serve_metrics
from bridge.api.server import serve_administration
from bridge.config import Config
from bridge.errors import AdminError
from bridge.logs import get_logger
from bridge.service.exposition import Exposition

_log = get_logger("bridge")


@contextlib.asynccontextmanager
async def serve(
    config: Config, administration: Administration, exposition: Exposition
) -> AsyncIterator[None]:
    """Answer until the end of the block. What cannot be offered is logged, and left out.

    What the bridge is for does not depend on it.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            serving = serve_administration(administration, config.store.path, exposition)
            await stack.enter_async_context(serving)
        except AdminError as error:
            _log.error("no administration while this bridge runs", reason=str(error))
        address = config.metrics.address
        if address is not None:
            try:
                await stack.enter_async_context(serve_metrics(exposition, address))
            except AdminError as error:
                _log.error("no metrics on TCP while this bridge runs", reason=str(error))
        yield
