"""What a running bridge offers to administration."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from bridge.api.acting import Actor
from bridge.api.orphans import BESIDE_JSON, Orphan, RetainedTopic, find_orphans
from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import SyncbridgeError
from bridge.link.base import Publication
from bridge.security.key_wrapping import KeyWrapper
from bridge.service.fleet_changes import FleetChanges
from bridge.service.guard import Guard
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.reloading import PermissionsLoader, SchemasLoader
from bridge.service.sealing import Sealing
from bridge.service.store_thread import Result, StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.store.audit import AuditRow
from bridge.store.base import Store

if TYPE_CHECKING:
    from bridge.schema.table import Schemas


class Administrator:
    """The holder of the store; see `bridge.api.administration.Administration`.

    Attributes:
        policies: Which conflict policy holds where.
        pipeline: Carries out what is asked for.
        fleet: Makes fleet changes go.
        reader_groups: Names of groups that read states.
        permissions: Reads them.
        schemas: Reads them.
    """

    def __init__(
        self,
        config: Config,
        store: StoreThread,
        pipeline: Pipeline,
        publisher: Publisher,
        clock: Callable[[], int],
        guard: Guard | None = None,
        fleet: FleetChanges | None = None,
        sealing: Sealing | None = None,
        dictionaries_changed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._dictionaries_changed = dictionaries_changed
        self._encoding = config.publish.encoding
        self._grammar = TopicGrammar(config.prefix)
        self._store = store
        self.pipeline = pipeline
        self.fleet: Final = fleet
        self._publisher = publisher
        self._clock = clock
        self._sealing = sealing
        self.policies: Policies = config.policies
        self.reader_groups: Collection[str] = config.sealing.readers.groups
        self.permissions = PermissionsLoader(config, guard, store, pipeline)
        # `make_models` has made them.
        schemas = cast("Schemas | None", pipeline.cache.models)
        self.schemas = SchemasLoader(config, schemas, store, pipeline)
        self._reloadable: list[PermissionsLoader | SchemasLoader] = [
            *([] if config.permissions.file is None else [self.permissions]),
            *([] if schemas is None else [self.schemas]),
        ]

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store between the pipeline's batches."""
        return await self._store.run(function)

    async def apply(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Change a twin, as a message would, in between the messages."""
        return await self.pipeline.submit(key, order, act)

    async def reload_permissions(self, actor: Actor) -> Mapping[str, object]:
        """Read the permissions again; see `PermissionsLoader.reload`."""
        return await self.permissions.reload(actor)

    async def reload_schemas(self, actor: Actor) -> Mapping[str, object]:
        """Read the schemas again; see `SchemasLoader.reload`."""
        return await self.schemas.reload(actor)

    async def reload(self, actor: Actor) -> None:
        """Read again whatever of the two is configured; what cannot be is in the log."""
        for loader in self._reloadable or [self.permissions]:
            with contextlib.suppress(SyncbridgeError):
                await loader.reload(actor)

    async def dictionaries_changed(self) -> None:
        """Use and announce the store's dictionaries, and clear those that went."""
        if self._dictionaries_changed is not None:
            await self._dictionaries_changed()

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool, act: AuditRow | None = None
    ) -> Sequence[Orphan]:
        """Tell which topics belong to no twin, and perhaps clear them.

        No twin is made between the look into the store and the clearing, and whatever is
        published of one that is made later goes the same way behind it.
        """

        async def look() -> list[Orphan]:
            found = await self._store.run(lambda store: find_orphans(store, topics, self._encoding))
            if clear and found:
                if act is not None:
                    await self._store.run(lambda store: store.record([act]))
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
