"""How the bridge's tasks end."""

from __future__ import annotations

import asyncio
import contextlib

from bridge.errors import SyncbridgeError
from bridge.logs import get_logger

_log = get_logger("bridge")


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task, and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, SyncbridgeError):
        await task


def log_failure(task: asyncio.Task[None]) -> None:
    """Say why a task has failed, whose result nobody waits for."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("announcing the bridge failed", exc_info=task.exception())
