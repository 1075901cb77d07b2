"""Reads permissions and schemas again while the bridge runs: all the new ones count, or the old."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bridge.api.acting import Actor, act, own_actor
from bridge.config import Config, read_permissions
from bridge.core.permissions import Permissions
from bridge.errors import ConfigError, SyncbridgeError
from bridge.logs import get_logger
from bridge.service.guard import Guard, announce
from bridge.service.models import announce_schemas, count_schemas, read_schemas
from bridge.service.pipeline import Pipeline
from bridge.service.store_thread import StoreThread
from bridge.store.base import Store

if TYPE_CHECKING:
    from bridge.schema.table import Schemas

LOADED: Final = "permissions_loaded"
"""Fact: a digest of the permissions that were in force last; not there: none ever were."""

_NONE: Final = "none"

_log = get_logger("bridge.reloading")


class PermissionsLoader:
    """Keeps the permissions in force as their file has them, and the audit trail informed.

    Args:
        config: Where the file is, and the bounds on paths.
        guard: Holds what is asked against the permissions; None where there are none.
        store: Has the audit trail.
        pipeline: Between whose batches the permissions change.
    """

    def __init__(
        self, config: Config, guard: Guard | None, store: StoreThread, pipeline: Pipeline
    ) -> None:
        self._config = config
        self._guard = guard
        self._store = store
        self._pipeline = pipeline
        # Whoever reads the file later puts it in force later.
        self._lock = asyncio.Lock()

    async def note_start(self) -> None:
        """Tell the audit trail of the permissions that a start has loaded, where they are others.

        Raises:
            StoreError: What the store raises.
        """
        permissions = None if self._guard is None else self._guard.permissions
        digest = _digest(permissions)
        metadata = await self._store.run(lambda store: store.metadata())
        if metadata.get(LOADED, _NONE) != digest:
            await self._record(own_actor("start"), permissions, digest)

    async def reload(self, actor: Actor) -> Mapping[str, object]:
        """Read the file again. What it says counts from the next batch on, for all at once.

        Args:
            actor: Who asks for it.

        Returns:
            What is in force now, and whether that is something else than before.

        Raises:
            ConfigError: There is no such file, or something in it is not allowed: the old
                permissions stay in force.
            StoreError: It cannot be written down: likewise.
        """
        try:
            async with self._lock:
                return await self._reload(actor)
        except SyncbridgeError as error:
            _report("permissions", error, actor)
            raise

    async def _reload(self, actor: Actor) -> Mapping[str, object]:
        guard, file = self._guard, self._config.permissions.file
        if guard is None or file is None:
            raise ConfigError(
                "no permissions are in force, and so there are none to reload",
                field="permissions.file",
                hint="set permissions.file, and start the bridge anew",
            )
        try:
            limits = self._config.limits.to_core()
            permissions = await asyncio.to_thread(read_permissions, file, limits)
        except ConfigError:
            failed = act(actor, "permissions.reload", str(file), outcome="failed")
            await self._store.run(lambda store: store.record([failed]))
            raise
        before = _digest(guard.permissions)
        digest = _digest(permissions)

        async def put_in_force() -> None:
            await self._record(actor, permissions, digest)
            guard.replace(permissions)

        # Written down and in force: both of it, or nothing, also where nobody waits any more.
        await self._pipeline.in_turn(put_in_force)
        announce(permissions, file)
        return {**_facts(permissions), "file": str(file), "changed": digest != before}

    async def _record(self, actor: Actor, permissions: Permissions | None, digest: str) -> None:
        name = "permissions.load" if actor.via == "start" else "permissions.reload"
        target = "" if permissions is None else str(self._config.permissions.file)
        row = act(actor, name, target, sha256=digest, permissions=_facts(permissions))

        def write(store: Store) -> None:
            store.record([row])
            store.set_metadata(LOADED, digest)

        await self._store.run(write)


class SchemasLoader:
    """Keeps the schemas in force as their files have them, and the audit trail informed.

    Args:
        config: Where the files are.
        schemas: Those in force; None where there are none.
        store: Has the audit trail.
        pipeline: Between whose batches the schemas change.
    """

    def __init__(
        self, config: Config, schemas: Schemas | None, store: StoreThread, pipeline: Pipeline
    ) -> None:
        self._config = config
        self._schemas = schemas
        self._store = store
        self._pipeline = pipeline
        self._lock = asyncio.Lock()

    async def reload(self, actor: Actor) -> Mapping[str, object]:
        """Read all files again. What they say counts from the next batch on, for all at once.

        Args:
            actor: Who asks for it.

        Returns:
            How many `entries` and `files` are in force now.

        Raises:
            ConfigError: There are no schemas, or one of them cannot be read, or is none: the old
                ones stay in force.
            StoreError: It cannot be written down: likewise.
        """
        try:
            async with self._lock:
                return await self._reload(actor)
        except SyncbridgeError as error:
            _report("schemas", error, actor)
            raise

    async def _reload(self, actor: Actor) -> Mapping[str, object]:
        in_force = self._schemas
        if in_force is None:
            raise ConfigError(
                "no schemas are in force, and so there are none to reload",
                field="schemas",
                hint="set schemas in the configuration file, and start the bridge anew",
            )
        try:
            schemas = await asyncio.to_thread(read_schemas, self._config)
        except ConfigError as error:
            row = act(actor, "schemas.reload", error.source, outcome="failed")
            await self._store.run(lambda store: store.record([row]))
            raise
        counts = count_schemas(self._config)
        row = act(actor, "schemas.reload", schemas=counts)

        async def put_in_force() -> None:
            await self._store.run(lambda store: store.record([row]))
            in_force.take_over(schemas)

        await self._pipeline.in_turn(put_in_force)
        announce_schemas(self._config)
        return counts


def _report(what: str, error: SyncbridgeError, actor: Actor) -> None:
    _log.error(
        f"the {what} are not reloaded: what was in force stays so",
        reason=error.message,
        hint=error.hint,
        via=actor.via,
        who=actor.who,
    )


def _facts(permissions: Permissions | None) -> dict[str, object]:
    if permissions is None:
        return {"default": "everything is allowed"}
    return {
        "default": permissions.default,
        "principals": len(permissions.principals),
        "groups": len(permissions.groups),
        "rules": len(permissions.rules),
    }


def _digest(permissions: Permissions | None) -> str:
    """Return a text that is another one for every other set of rules."""
    if permissions is None:
        return _NONE
    rules = [tuple(one.rule._replace(line=0)) for one in permissions.rules]
    content = (permissions.default, permissions.principals, permissions.groups, rules)
    return hashlib.sha256(repr(content).encode()).hexdigest()
