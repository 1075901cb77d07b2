"""What a running bridge offers to administration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.api.orphans import BESIDE_JSON, Orphan, RetainedTopic, find_orphans
from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.link.base import Publication
from bridge.security.key_wrapping import KeyWrapper
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.sealing import Sealing
from bridge.service.store_thread import Result, StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.store.base import Store


class Administrator:
    """The holder of the store; see `bridge.api.administration.Administration`.

    Attributes:
        policies: Which conflict policy holds where.
        pipeline: Carries out what is asked for.
    """

    def __init__(
        self,
        config: Config,
        store: StoreThread,
        pipeline: Pipeline,
        publisher: Publisher,
        clock: Callable[[], int],
        sealing: Sealing | None = None,
    ) -> None:
        self._encoding = config.publish.encoding
        self._grammar = TopicGrammar(config.prefix)
        self._store = store
        self.pipeline = pipeline
        self._publisher = publisher
        self._clock = clock
        self._sealing = sealing
        self.policies: Policies = config.policies

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store between the pipeline's batches."""
        return await self._store.run(function)

    async def apply(self, key: TwinKey, order: Order) -> Outcome:
        """Change a twin, as a message would, in between the messages."""
        return await self.pipeline.submit(key, order)

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool
    ) -> Sequence[Orphan]:
        """Tell which topics belong to no twin, and perhaps clear them.

        No twin is made between the look into the store and the clearing, and whatever is
        published of one that is made later goes the same way behind it.
        """

        async def look() -> list[Orphan]:
            found = await self._store.run(lambda store: find_orphans(store, topics, self._encoding))
            if clear:
                self._clear(found)
            return found

        return await self.pipeline.between_batches(look)

    def key_wrapper(self) -> KeyWrapper | None:
        """Return what wraps the keys of devices; None where sealing is not configured."""
        return None if self._sealing is None else self._sealing.keyring.wrapper

    async def keys_changed(self, device: str) -> None:
        """Take over the keys of a device, which have changed in the store."""
        sealing = self._sealing
        if sealing is None:
            return

        async def reload() -> None:
            self._publisher.offer(await sealing.reload(device), rebuild=True)

        await self.pipeline.between_batches(reload)

    def _clear(self, orphans: Sequence[Orphan]) -> None:
        twins: dict[TwinKey, TwinPublication] = {}
        for (key, below), _, version in orphans:
            if below in BESIDE_JSON and self._encoding != "both":
                # Of no twin's publication, so that nothing newer can be on its way there.
                topic = self._grammar.topic(key, below)
                self._publisher.reply(Publication(topic, b"", retain=True))
                continue
            empty = TwinPublication(
                key,
                version,
                state=b"",
                delta=None,
                with_delta=below != "presence",
                clear_presence=below == "presence",
                at=self._clock(),
            )
            if key in twins:
                empty.absorb(twins[key])
            twins[key] = empty
        self._publisher.offer(twins.values())
