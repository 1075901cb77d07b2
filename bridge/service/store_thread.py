"""The store's own thread: the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from bridge.config import StoreConfig
from bridge.errors import StoreError
from bridge.service.store_health import StoreHealth
from bridge.store.base import Store
from bridge.store.indexed_paths import parse_indexed_paths
from bridge.store.sqlite import SqliteStore

Result = TypeVar("Result")


class StoreThread:
    """Runs functions of one store, one after the other, in the order in which they were asked.

    A queue and a thread of its own: asyncio's executor puts two more futures and three more locks
    between the loop and its thread, and takes twice as long to hand a commit over and back.

    Attributes:
        health: Whether it can be written, as those note who write.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self.health = StoreHealth()
        self._open_store = open_store
        self._asked: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._store: Store | None = None

    async def open(self) -> None:
        """Open the store.

        Raises:
            StoreError: It cannot be opened.
        """
        self._thread.start()
        self._store = await self._ask(self._open_store)

    async def run(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in its thread and return its result.

        Raises:
            StoreError: What the store raises.
            RuntimeError: The store is not open.
        """
        store = self._store
        if store is None:
            raise RuntimeError("the store is not open")
        return await self._ask(lambda: function(store))

    async def close(self) -> None:
        """Close the store after everything that was asked; idempotent."""
        if self._store is not None:
            await self.run(lambda store: store.close())
            self._store = None
        if self._thread.is_alive():
            self._asked.put(None)
            self._thread.join()

    async def _ask(self, function: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Result] = loop.create_future()
        self._asked.put(_Call(function, loop, answer))
        return await answer

    def _work(self) -> None:
        # In a function of its own, lest a batch stay in memory until the next one comes.
        while _carry_out(self._asked.get()):
            pass


class _Call(NamedTuple):
    """What is to be done in the thread, and who waits for it."""

    function: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


def _carry_out(call: _Call | None) -> bool:
    """Do what was asked; returns False at the end."""
    if call is None:
        return False
    if call.answer.cancelled():
        return True
    result: object = None
    error: BaseException | None = None
    try:
        result = call.function()
    except BaseException as raised:  # noqa: BLE001 # it belongs to whoever has asked
        error = raised
    # A loop that is closed has nobody left who waits.
    with contextlib.suppress(RuntimeError):
        call.loop.call_soon_threadsafe(_answer, call.answer, result, error)
    return True


def _answer(answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if answer.cancelled():
        return
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


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
    return SqliteStore.open(
        config.path, limits=config.to_limits(), indexes=parse_indexed_paths(config.indexes)
    )
