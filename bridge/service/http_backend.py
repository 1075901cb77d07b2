"""What a running bridge offers to the HTTP API."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from bridge.api.acting import Actor
from bridge.api.orphans import Orphan, RetainedTopic
from bridge.config import Config
from bridge.core.limits import Limits
from bridge.core.orders import Order
from bridge.core.permissions import Permissions
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import StoreError, StoreUnavailable
from bridge.http.hub import Hub
from bridge.http.shelf import Shelf
from bridge.link.base import Link
from bridge.service.administrator import Administrator
from bridge.service.clock import now_us
from bridge.service.guard import Guard
from bridge.service.store_thread import Result
from bridge.store.audit import AuditRow
from bridge.store.base import Store

SHELF_SHARE: Final = 8
"""The API's own memory for twins is this part of `store.cache_bytes`."""

WRITES_WAITING: Final = 1024
"""Writes of clients that may wait for their commit; further ones are answered with 503."""

WRITES_TOGETHER: Final = 256
"""Writes in one transaction: those that have come while the one before was committed."""

_Write: TypeAlias = tuple[TwinKey, Order, AuditRow | None, asyncio.Future[Outcome]]


class HttpBackend:
    """The holder of the twins; see `bridge.http.backend.Backend`."""

    def __init__(
        self,
        config: Config,
        administrator: Administrator,
        guard: Guard | None,
        link: Link,
    ) -> None:
        self._administrator = administrator
        self._pipeline = administrator.pipeline
        self.policies: Policies = administrator.policies
        self.fleet: Final = administrator.fleet
        self._writes: deque[_Write] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._link = link
        self._guard = guard
        self.limits: Limits = config.limits.to_core()
        self.grammar: TopicGrammar = TopicGrammar(config.prefix)
        self.hub = Hub(
            Shelf(config.store.cache_bytes // SHELF_SHARE),
            config.http.replay_bytes,
            config.http.stream_events,
            time.monotonic,
        )
        self._pipeline.transactions.listeners.append(self.hub.committed)
        if guard is not None:
            guard.on_change = self.hub.wake

    @property
    def permissions(self) -> Permissions | None:
        """Who may do what now; None where everyone may do everything."""
        return None if self._guard is None else self._guard.permissions

    @property
    def is_connected(self) -> bool:
        """The connection to the broker stands."""
        return self._link.session is not None

    def now_us(self) -> int:
        """Return the bridge's time, in µs since the epoch."""
        return now_us()

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store between the pipeline's batches."""
        return await self._administrator.run_store(function)

    async def dictionaries_changed(self) -> None:
        """Use and announce the store's dictionaries, and clear those that went."""
        await self._administrator.dictionaries_changed()

    async def reload_permissions(self, actor: Actor) -> Mapping[str, object]:
        """Read the permissions again."""
        return await self._administrator.reload_permissions(actor)

    async def reload_schemas(self, actor: Actor) -> Mapping[str, object]:
        """Read the schemas again."""
        return await self._administrator.reload_schemas(actor)

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool, act: AuditRow | None = None
    ) -> Sequence[Orphan]:
        """Tell which topics belong to no twin, and perhaps clear them."""
        return await self._administrator.find_orphans(topics, clear=clear, act=act)

    async def apply(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Change a twin; see `write`."""
        return await self.write(key, order, act)

    async def write(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Carry out an order in one transaction with others that wait.

        Raises:
            StoreError: Nothing took effect.
        """
        if len(self._writes) >= WRITES_WAITING:
            raise StoreUnavailable(f"{WRITES_WAITING} writes wait already", hint="try again later")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._writes.append((key, order, act, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="http writes")
        return await future

    async def _write_all(self) -> None:
        try:
            while self._writes:
                count = min(len(self._writes), WRITES_TOGETHER)
                await self._write_together([self._writes.popleft() for _ in range(count)])
        finally:
            self._writing = None

    async def _write_together(self, writes: list[_Write]) -> None:
        try:
            outcomes = await self._pipeline.submit_all(
                [(key, order) for key, order, _, _ in writes],
                judged=True,
                acts=[act for _, _, act, _ in writes],
            )
        except StoreError as error:
            _fail(writes, error)
        except Exception as error:  # noqa: BLE001 - one must not take the others with it
            if len(writes) == 1:
                _fail(writes, error)
                return
            for write in writes:
                await self._write_together([write])
        else:
            for (_, _, _, future), outcome in zip(writes, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)


def _fail(writes: list[_Write], error: Exception) -> None:
    for _, _, _, future in writes:
        if not future.done():
            future.set_exception(error)
