"""What administration needs of a running bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from bridge.api.orphans import Orphan, RetainedTopic
from bridge.core.orders import Order
from bridge.core.policy import Policies
from bridge.core.reconcile import Outcome
from bridge.core.topics import TwinKey
from bridge.store.base import Store

if TYPE_CHECKING:
    from bridge.security.key_wrapping import KeyWrapper

Result = TypeVar("Result")


class Administration(Protocol):
    """The holder of a store, such as `bridge.service.Bridge`."""

    @property
    def policies(self) -> Policies:
        """Which conflict policy holds where."""

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store in the store's thread and return its result.

        Commits wait for it, so that it has to be short.
        """

    async def apply(self, key: TwinKey, order: Order) -> Outcome:
        """Change a twin, as a message would, in between the messages.

        Returns:
            What came of it, perhaps a refusal; it is on the disk.

        Raises:
            StoreError: Nothing took effect.
        """

    async def find_orphans(
        self, topics: Sequence[RetainedTopic], *, clear: bool
    ) -> Sequence[Orphan]:
        """Tell which retained topics belong to no twin.

        Args:
            topics: What is retained.
            clear: Clear those that belong to none, in the same moment.

        Raises:
            AdminError: They cannot be cleared here.
            StoreError: What the store raises.
        """


class KeyAdministration(Administration, Protocol):
    """The same, of who also gives keys to devices."""

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
