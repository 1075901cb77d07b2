"""A holder of a store with its administration, in a thread of its own, for tests that ask it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bridge.api import serve_administration
from bridge.api.acting import Actor
from bridge.api.orphans import Orphan, RetainedTopic, find_orphans
from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.errors import ConfigError
from bridge.security.key_wrapping import KeyWrapper
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.store.audit import AuditRow
from bridge.store.base import Store, StoreLimits
from bridge.store.sqlite import SqliteStore

CONFIG = Config()

Result = TypeVar("Result")

_START_TIMEOUT_S = 30.0


class Holder:
    """Holds a store as a bridge does: all calls in one thread."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.policies = CONFIG.policies
        self.fleet = None
        self.reader_groups = CONFIG.sealing.readers.groups
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, function, self.store)

    async def apply(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Change a twin in the store's thread."""
        return await self.run_store(
            lambda store: apply_offline(store, CONFIG, key, order, now_us, act)
        )

    async def reload_permissions(self, actor: Actor) -> Mapping[str, object]:
        """There are none here."""
        raise ConfigError(f"{actor.who} asks for permissions, and there are none")

    async def reload_schemas(self, actor: Actor) -> Mapping[str, object]:
        """There are none here."""
        raise ConfigError(f"{actor.who} asks for schemas, and there are none")

    def key_wrapper(self) -> KeyWrapper | None:
        """Return none: no test here gives out keys."""
        return None

    async def keys_changed(self, device: str) -> None:
        """Do nothing: nobody holds keys."""

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool, act: AuditRow | None = None
    ) -> Sequence[Orphan]:
        """Find them; there is no broker to clear them at."""
        assert not clear
        assert act is not None
        return await self.run_store(lambda store: find_orphans(store, topics, "json"))

    def change(self, key: TwinKey, order: Order) -> Outcome:
        """Change a twin, from the test's own thread."""
        changing = self._executor.submit(apply_offline, self.store, CONFIG, key, order, now_us)
        return changing.result()

    def close(self) -> None:
        """Close the store in its thread."""
        self._executor.submit(self.store.close).result()
        self._executor.shutdown()


@contextmanager
def holding(path: Path) -> Iterator[Holder]:
    """Hold a store and answer for it, until the end of the block."""
    holder = Holder(SqliteStore.open(path, limits=StoreLimits()))
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stopping = asyncio.Event()

    async def serve() -> None:
        try:
            async with serve_administration(holder, path):
                started.set()
                await stopping.wait()
        finally:
            started.set()

    with ThreadPoolExecutor(1, thread_name_prefix="administration") as thread:
        serving = thread.submit(loop.run_until_complete, serve())
        try:
            assert started.wait(_START_TIMEOUT_S)
            if serving.done():
                serving.result()
            yield holder
        finally:
            loop.call_soon_threadsafe(stopping.set)
            try:
                serving.result()
            finally:
                loop.close()
                holder.close()
