"""The store's own thread: the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridge.config import StoreConfig
from bridge.errors import StoreError
from bridge.service.store_health import StoreHealth
from bridge.store.base import Store
from bridge.store.sqlite import SqliteStore

Result = TypeVar("Result")


class StoreThread:
    """Runs functions of one store, one after the other, in the order in which they were asked.

    Attributes:
        health: Whether it can be written, as those note who write.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self.health = StoreHealth()
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


def open_store(config: StoreConfig) -> SqliteStore:
    """Open the store that the settings name; its directory is made where there is none.

    Raises:
        StoreError: It cannot be opened, or its directory not made.
    """
    try:
        config.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the store's directory {config.path.parent} cannot be made: {error.strerror}",
            hint="choose another file with --store",
        ) from error
    return SqliteStore.open(config.path, limits=config.to_limits())
