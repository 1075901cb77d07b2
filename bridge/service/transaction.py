"""One transaction: twins into memory, changed there, committed, and handed to the publisher.

The caller sees to it that only one is at work at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from bridge import metrics
from bridge.config import LimitsConfig
from bridge.core.refusal import Refusal
from bridge.core.topics import TwinKey
from bridge.errors import StoreUnavailable
from bridge.logs import RateLimited
from bridge.service.cache import TwinCache
from bridge.service.effects import Effects
from bridge.service.newcomers import Newcomers
from bridge.service.publisher import Publisher
from bridge.service.store_thread import StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.store.base import CommitBatch, Store

Refused = dict[TwinKey, Refusal]
"""New twins that may not be made now, and why."""


class StaleTwins(Exception):
    """Another writer has changed twins of the transaction in the store meanwhile."""


class Transactions:
    """Changes twins, each time all of it or nothing.

    Args:
        limits: How many new twins may be made.
        store: Where they are committed.
        cache: The twins in memory.
        publisher: Takes over what has been committed.
        counters: What has happened.
        clock: The bridge's clock, in µs since the epoch.
        refusals: Log for what is refused and kept.

    Attributes:
        listeners: Told of every new version once it is on the disk.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        store: StoreThread,
        cache: TwinCache,
        publisher: Publisher,
        counters: metrics.Counters,
        clock: Callable[[], int],
        refusals: RateLimited,
    ) -> None:
        self._store = store
        self._cache = cache
        self._publisher = publisher
        self._counters = counters
        self._clock = clock
        self._refusals = refusals
        self._newcomers = Newcomers(limits)
        self.listeners: list[Callable[[Sequence[TwinPublication]], None]] = []

    async def run(
        self,
        keys: set[TwinKey],
        making: Collection[TwinKey],
        effects: Effects,
        change: Callable[[Refused], None],
    ) -> None:
        """Load twins, change them, and commit what follows.

        Args:
            keys: All twins that `change` looks at.
            making: Those of them that it may make.
            effects: What `change` brings about; it is gathered here.
            change: Changes the twins in memory. It is given those that may not be made now.

        Raises:
            StaleTwins: Nothing took effect; do it again.
            StoreError: Nothing took effect.
        """
        committed = False
        stages = self._counters.stages
        try:
            refused = await self._load(keys, making)
            at = stages.clock()
            change(refused)
            at = stages.since(metrics.RECONCILE, at)
            batch = effects.encode()
            stages.since(metrics.ENCODE, at)
            await self._commit(batch)
            committed = True
        finally:
            if not committed:
                # What is in memory is ahead of the store now.
                self._cache.drop(keys)
        at = stages.clock()
        self._conclude(effects, keys)
        stages.since(metrics.OFFER, at)

    async def _load(self, keys: set[TwinKey], making: Collection[TwinKey]) -> Refused:
        """Bring the twins into memory; returns which new ones may not be made now, and why."""
        missing = self._cache.missing(keys)
        self._counters.add(metrics.CACHE_LOOKUPS, count=len(keys))
        if missing:
            self._counters.add(metrics.CACHE_MISSES, count=len(missing))
            began = self._counters.stages.clock()
            stored = await self._store.run(lambda store: store.load(missing))
            for key in missing:
                self._cache.put(key, stored.get(key))
            self._counters.stages.since(metrics.LOAD, began)
        new = self._cache.new(making)
        if not new:
            return {}
        named = {key.device for key in new if key.name}
        names: dict[str, list[str]] = {}
        if named:
            names = await self._store.run(lambda store: {d: store.twin_names(d) for d in named})
        return self._newcomers.refuse(new, names, self._clock())

    async def _commit(self, batch: CommitBatch) -> None:
        if not (
            batch.twins
            or batch.quarantined
            or batch.windows
            or batch.proven_keys
            or batch.acts
            or batch.targets
        ):
            return
        stages = self._counters.stages

        def commit(store: Store) -> tuple[frozenset[TwinKey], float, float]:
            began = stages.clock()
            return store.commit(batch), began, stages.clock()

        asked = stages.clock()
        stale, began, ended = await self._store.run(commit)
        stages.ran(metrics.COMMIT, began, ended)
        stages.took(metrics.HAND_OFF, stages.clock() - asked - (ended - began))
        self._store.health.note(is_available=True)
        if stale:
            raise StaleTwins
        self._counters.add(metrics.BATCHES)
        self._counters.batch_twins.observe(len(batch.twins))

    def _conclude(self, effects: Effects, keys: Collection[TwinKey]) -> None:
        """Hand over to the publisher what has been committed."""
        publications = []
        new = 0
        for change in effects.twins:
            cached = change.cached
            cached.revision += 1
            new += cached.revision == 1
            if change.publish:
                twin = cached.twin
                publications.append(
                    TwinPublication(
                        twin.key,
                        twin.version,
                        cached.state,
                        cached.delta,
                        change.publish_delta,
                        change.cleared,
                        twin.at,
                    )
                )
        self._publisher.offer(publications)
        if publications:
            for listener in self.listeners:
                listener(publications)
        self._newcomers.made(new)
        for key in keys:
            self._cache.measure(key)
        for reply in effects.replies:
            self._publisher.reply(reply)
        for event in effects.events:
            self._publisher.tell(event)
        for (name, label), count in effects.counts.items():
            self._counters.add(name, label, count)
        for row in effects.conflicts:
            self._counters.add(metrics.CONFLICTS, row.policy)
        self._report(effects)

    def _report(self, effects: Effects) -> None:
        for row in effects.quarantined:
            self._counters.add(metrics.QUARANTINED)
            self._refusals.warning(
                "refused, and kept in the quarantine",
                row.topic,
                code=row.code,
                error=row.error,
                size_bytes=row.size_bytes,
                # Not the reason: it may quote the payload.
                hint="`syncbridge quarantine` shows it",
            )

    async def keep(self, effects: Effects) -> None:
        """Commit what touches no twin, such as a message for the quarantine.

        Raises:
            StoreError: Nothing took effect.
        """
        await self._commit(effects.encode())
        self._conclude(effects, ())

    async def mark_published(self, *, everything: bool) -> None:
        """Write down what the broker has acknowledged, between transactions.

        Args:
            everything: Also of twins that may well change again at once: at the end.
        """
        acknowledged = self._publisher.take_acknowledged(everything=everything)
        if not acknowledged:
            return
        try:
            await self._store.run(lambda store: store.mark_published(acknowledged))
        except StoreUnavailable:
            self._publisher.give_back(acknowledged)
