"""The store's own thread: the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridge.store.base import Store

Result = TypeVar("Result")


class StoreThread:
    """Runs functions of one store, one after the other, in the order in which they were asked."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._store: Store | None = None

    async def open(self) -> None:
        """Open the store.

        Raises:
            StoreError: It cannot be opened.
        """
        loop = asyncio.get_running_loop()
        self._store = await loop.run_in_executor(self._executor, self._open_store)

    async def run(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in its thread and return its result.

        Raises:
            StoreError: What the store raises.
            RuntimeError: The store is not open.
        """
        store = self._store
        if store is None:
            raise RuntimeError("the store is not open")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, store)

    async def close(self) -> None:
        """Close the store after everything that was asked; idempotent."""
        if self._store is not None:
            await self.run(lambda store: store.close())
            self._store = None
        self._executor.shutdown(wait=True)
