"""What administration needs of a running bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from bridge.api.acting import Actor
from bridge.api.orphans import Orphan, RetainedTopic
from bridge.core.orders import Order
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.store.audit import AuditRow
from bridge.store.base import Store

if TYPE_CHECKING:
    from bridge.api.fleet_changes import FleetControl
    from bridge.security.key_wrapping import KeyWrapper

Result = TypeVar("Result")


class Administration(Protocol):
    """The holder of a store, such as `bridge.service.Bridge`."""

    @property
    def policies(self) -> Policies:
        """Which conflict policy holds where."""

    @property
    def fleet(self) -> FleetControl | None:
        """Makes fleet changes go; None where no bridge runs."""

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in the store's thread and return its result.

        Commits wait for it, so that it has to be short.
        """

    async def apply(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Change a twin, as a message would, in between the messages.

        Args:
            key: The twin.
            order: What to do.
            act: What the audit trail is to tell of it, in the same transaction; its outcome is
                filled in.

        Returns:
            What came of it, perhaps a refusal; it is on the disk.

        Raises:
            StoreError: Nothing took effect.
        """

    async def dictionaries_changed(self) -> None:
        """Use and announce what dictionaries the store has now, and no others."""

    async def reload_permissions(self, actor: Actor) -> Mapping[str, object]:
        """Read the permissions again.

        Args:
            actor: Who asks for it.

        Returns:
            What is in force now, and as `changed` whether that is something else than before.

        Raises:
            ConfigError: There are none, or something in them is not allowed: nothing has changed.
            AdminError: No bridge runs here.
            StoreError: What the store raises.
        """

    async def reload_schemas(self, actor: Actor) -> Mapping[str, object]:
        """Read the schemas again.

        Args:
            actor: Who asks for it.

        Returns:
            How many `entries` and `files` are in force now.

        Raises:
            ConfigError: There are none, or one of them is not allowed: nothing has changed.
            AdminError: No bridge runs here.
            StoreError: What the store raises.
        """

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool, act: AuditRow | None = None
    ) -> Sequence[Orphan]:
        """Tell which retained topics belong to no twin.

        Args:
            topics: What is retained.
            clear: Clear those that belong to none, in the same moment.
            act: Written into the audit trail where any are cleared, before they are.

        Raises:
            AdminError: They cannot be cleared here.
            StoreError: What the store raises.
        """


class KeyAdministration(Administration, Protocol):
    """The same, of who also gives keys to devices."""

    @property
    def reader_groups(self) -> Collection[str]:
        """Names of groups that read states: nothing but an order makes their next key active."""

    def key_wrapper(self) -> KeyWrapper | None:
        """Return what wraps the keys of devices; None where no wrapping key is set.

        Raises:
            ConfigError: It is set, and cannot be read.
        """

    async def keys_changed(self, device: str) -> None:
        """Take over the keys of a device, which have changed in the store.

        Raises:
            StoreError: They cannot be read.
        """


async def run_beside(administration: Administration, function: Callable[[Store], Result]) -> Result:
    """Run `check`, `backup`, `export` or `find`, which take long, while the pipeline goes on.

    The store allows these in any thread; see `bridge.store.base.Store`.
    """
    store = await administration.run_store(lambda held: held)
    return await asyncio.to_thread(function, store)
