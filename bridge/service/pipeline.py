"""The pipeline: one batch after another, with no timer (design section 5).

Take what has arrived; decode; load what is not in memory; reconcile; commit in one transaction;
publish each changed twin once; acknowledge. While one batch commits, the next one gathers in the
link: under light load a batch is one message, under heavy load it grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bridge import metrics
from bridge.config import Config
from bridge.core.refusal import Refusal
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.core.update import Presence, Update
from bridge.errors import StoreUnavailable
from bridge.link.base import Link, Message
from bridge.logs import RateLimited, get_logger
from bridge.service.cache import TwinCache
from bridge.service.effects import Effects
from bridge.service.newcomers import Newcomers
from bridge.service.publisher import Publisher, TwinPublication
from bridge.service.reconciler import Reconciler
from bridge.service.requests import Request
from bridge.service.store_thread import StoreThread
from bridge.store.base import CommitBatch

RETRY_MIN_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
"""Between these the wait grows while the store cannot be written."""

_log = get_logger("bridge.pipeline")


class StaleTwins(Exception):
    """Another writer has changed twins of the batch in the store meanwhile."""


class BatchGivenUp(Exception):
    """The store could not be written for too long; nothing of the batch took effect."""


class Pipeline:
    """Carries messages from the link through the core into the store, and back to the link.

    Attributes:
        batch_began_at: When the batch at work began, in µs, or None between batches.
    """

    def __init__(
        self,
        config: Config,
        link: Link,
        store: StoreThread,
        cache: TwinCache,
        reconciler: Reconciler,
        publisher: Publisher,
        counters: metrics.Counters,
        clock: Callable[[], int],
        refusals: RateLimited,
        on_status: Callable[[Message], None],
    ) -> None:
        self._limits = config.limits
        self._retry_timeout_s = config.store.retry_timeout_s
        self._link = link
        self._store = store
        self._cache = cache
        self._reconciler = reconciler
        self._publisher = publisher
        self._counters = counters
        self._clock = clock
        self._refusals = refusals
        self._on_status = on_status
        self._status_topic = TopicGrammar(config.prefix).status
        self._newcomers = Newcomers(config.limits)
        self._batch: asyncio.Task[None] | None = None
        self.batch_began_at: int | None = None

    async def run(self) -> None:
        """Process batches until cancelled; the batch at work then goes on, see `finish`.

        Raises:
            LinkError: The link gave up.
        """
        limits = self._limits
        while True:
            messages = await self._link.receive(limits.batch_messages, limits.batch_bytes)
            self._batch = asyncio.create_task(self.process(messages), name="batch")
            await asyncio.shield(self._batch)
            await self._publisher.wait_for_room()

    async def finish(self) -> None:
        """Wait for the batch at work, after `run` was cancelled; cancelled, it stops the batch."""
        if self._batch is not None:
            try:
                await asyncio.wait({self._batch})
            finally:
                self._batch.cancel()

    async def process(self, messages: Sequence[Message]) -> None:
        """Process one batch, whatever it takes, and acknowledge it.

        A batch that cannot be processed for another reason than the store's being away is halved
        until the culprit stands alone; that one goes to the quarantine. If the store stays away,
        the connection is dropped, and the broker delivers the batch again.
        """
        self._counters.add(metrics.MESSAGES, count=len(messages))
        self.batch_began_at = self._clock()
        updates = self._without_status(messages)
        try:
            if updates:
                await self._process_or_halve(updates)
        except BatchGivenUp as error:
            self._link.drop(str(error))
            return
        finally:
            self.batch_began_at = None
        self._publisher.pump()
        self._link.acknowledge(messages)
        self._cache.shrink()

    def _without_status(self, messages: Sequence[Message]) -> list[Message]:
        """Hand over what came on the bridge's own status topic, and return the rest."""
        rest = []
        for message in messages:
            if message.topic == self._status_topic:
                self._on_status(message)
            else:
                rest.append(message)
        return rest

    async def _process_or_halve(self, messages: Sequence[Message]) -> None:
        try:
            await self._retry_while_unavailable(lambda: self._process_once(messages))
        except BatchGivenUp:
            raise
        except Exception as error:  # noqa: BLE001 # whatever it is, the others must go on
            failure = error
        else:
            return
        if len(messages) == 1:
            await self._put_away(messages[0], failure)
            return
        middle = len(messages) // 2
        await self._process_or_halve(messages[:middle])
        await self._process_or_halve(messages[middle:])

    async def _retry_while_unavailable(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something; while the store cannot be written, nothing is acknowledged, and try again.

        Raises:
            BatchGivenUp: The store stayed away for too long.
        """
        wait_s = RETRY_MIN_S
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + self._retry_timeout_s
        while True:
            try:
                await work()
            except StaleTwins:
                continue
            except StoreUnavailable as error:
                self._counters.add(metrics.COMMIT_FAILURES)
                if clock() >= give_up_at:
                    raise BatchGivenUp(error.message) from error
                _log.error(
                    "the store cannot be written; nothing is acknowledged until it can",
                    reason=error.message,
                    hint=error.hint,
                    retry_in_s=wait_s,
                )
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_MAX_S)
            else:
                if wait_s > RETRY_MIN_S:
                    _log.info("the store can be written again")
                return

    async def _process_once(self, messages: Sequence[Message]) -> None:
        effects = Effects()
        requests = self._reconciler.decode(messages, effects)
        keys = {request.topic.key for request in requests}
        acknowledged: list[tuple[TwinKey, int]] = []
        committed = False
        try:
            refused = await self._load(requests, keys)
            self._reconciler.apply(requests, effects, refused)
            acknowledged = self._publisher.take_acknowledged()
            await self._commit(effects.encode(acknowledged))
            committed = True
        finally:
            if not committed:
                # What is in memory is ahead of the store now.
                self._cache.drop(keys)
                self._publisher.give_back(acknowledged)
        self._conclude(effects, keys)

    async def _load(
        self, requests: Sequence[Request], keys: set[TwinKey]
    ) -> dict[TwinKey, Refusal]:
        """Bring the twins into memory; returns which new ones may not be made now, and why."""
        missing = self._cache.missing(keys)
        if missing:
            stored = await self._store.run(lambda store: store.load(missing))
            for key in missing:
                self._cache.put(key, stored.get(key))
        # What makes a row in the store; presence does too, before there is a twin.
        making = {r.topic.key for r in requests if isinstance(r.order, Update | Presence)}
        new = [key for key in making if self._cache.use(key).revision == 0]
        if not new:
            return {}
        named = {key.device for key in new if key.name}
        names = await self._store.run(lambda store: {d: store.twin_names(d) for d in named})
        return self._newcomers.refuse(new, names, self._clock())

    async def _commit(self, batch: CommitBatch) -> None:
        if not (batch.twins or batch.quarantined or batch.published):
            return
        stale = await self._store.run(lambda store: store.commit(batch))
        if stale:
            raise StaleTwins
        self._counters.add(metrics.BATCHES)

    def _conclude(self, effects: Effects, keys: set[TwinKey]) -> None:
        """Hand over to the publisher what has been committed."""
        for change in effects.twins.values():
            cached = change.cached
            cached.revision += 1
            if change.publish:
                self._publisher.offer(
                    TwinPublication(
                        cached.twin.key,
                        cached.twin.version,
                        cached.state,
                        cached.delta,
                        change.publish_delta,
                        change.cleared,
                        cached.twin.at,
                    )
                )
        self._newcomers.made(sum(change.cached.revision == 1 for change in effects.twins.values()))
        for key in keys:
            self._cache.measure(key)
        for reply in effects.replies:
            self._publisher.reply(reply)
        for (name, label), count in effects.counts.items():
            self._counters.add(name, label, count)
        self._report(effects)

    def _report(self, effects: Effects) -> None:
        for row in effects.quarantined:
            self._counters.add(metrics.QUARANTINED)
            self._refusals.warning(
                "refused, and kept in the quarantine",
                row.topic,
                code=row.code,
                error=row.error,
                reason=row.message,
            )

    async def _put_away(self, message: Message, error: Exception) -> None:
        """Quarantine a message that can never be processed, and answer it if that is possible."""
        self._refusals.warning(
            "a message cannot be processed, and is kept in the quarantine",
            type(error).__name__,
            topic=message.topic,
            exc_info=error,
        )
        refusal = Refusal(500, "cannot_process", f"{type(error).__name__}: {error}")
        effects = Effects()
        effects.quarantine(message, refusal, self._clock())
        try:
            self._reconciler.answer_failure(message, refusal, effects)
        except Exception as again:  # noqa: BLE001 # decoding it may be what cannot be done
            self._refusals.warning("nor can it be answered", type(again).__name__, exc_info=again)
        await self._retry_while_unavailable(lambda: self._commit(effects.encode(())))
        self._conclude(effects, set())

    async def store_acknowledged(self) -> None:
        """Write down what the broker has acknowledged, between batches or at the end."""
        acknowledged = self._publisher.take_acknowledged()
        if not acknowledged:
            return
        try:
            await self._store.run(lambda store: store.mark_published(acknowledged))
        except StoreUnavailable:
            self._publisher.give_back(acknowledged)
