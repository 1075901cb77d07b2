"""Waiting for what becomes true, however busy the machine is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 60.0
"""Far longer than anything takes."""


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, which may become true on another thread.

    Raises:
        TimeoutError: It did not within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)
