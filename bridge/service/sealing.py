"""Everything of sealed payloads that a bridge holds, and what happens to it at each batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from bridge.config import Config
from bridge.core.topics import TwinKey
from bridge.errors import StoreUnavailable
from bridge.logs import get_logger
from bridge.service.downlink import Downlink
from bridge.service.keyring import Keyring, make_keyring
from bridge.service.requests import PlainReport, Request
from bridge.service.rewrapping import rewrap_keys
from bridge.service.sealed_memory import SealedMemory
from bridge.service.store_thread import StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.service.unpublished import publication_of
from bridge.service.unsealing import Unsealer
from bridge.store.base import Store, StoredTwin

_log = get_logger("bridge.sealing")


class Sealing:
    """Sealed payloads of one bridge.

    Args:
        keyring: The keys.
        config: All settings.
        store: Where keys and windows are.

    Attributes:
        keyring: As given.
        unsealer: Opens what arrives.
        memory: Knows what has arrived.
        downlink: Seals what goes down.
        groups_changed: Set where states may have got another reader.
        rebuild_per_s: Pace at which they are published again, in twins.
    """

    def __init__(self, keyring: Keyring, config: Config, store: StoreThread) -> None:
        self.keyring = keyring
        self.unsealer = Unsealer(keyring, config.limits.payload_bytes)
        self.memory = SealedMemory()
        self.downlink = Downlink(keyring, config.prefix)
        self.groups_changed = asyncio.Event()
        # Since the last end: the list, or a key while no bridge ran.
        self.groups_changed.set()
        self.rebuild_per_s = config.publish.rebuild_per_s
        self._store = store

    async def prepare(self, requests: Iterable[Request | PlainReport]) -> None:
        """Bring into memory what was received before in the places of a batch.

        Raises:
            StoreError: It cannot be read.
        """
        places = [
            request.sealed.place
            for request in requests
            if isinstance(request, Request) and request.sealed is not None
        ]
        missing = self.memory.missing(places)
        if missing:
            found, counts = await self._store.run(lambda store: store.sealed_windows(missing))
            self.memory.take_in(missing, found, counts)

    async def conclude(self, proven: Collection[tuple[str, int]]) -> list[TwinPublication]:
        """Note that a batch is on the disk.

        Args:
            proven: Devices, with the keys that they have used for the first time.

        Returns:
            What has to be published again, sealed with these.
        """
        self.memory.committed()
        again = []
        for device, key_id in proven:
            _log.info("a device uses its new key", device=device, key_id=key_id)
            try:
                again += await self.reload(device)
            except StoreUnavailable as error:
                # The batch is on the disk: its devices prove their keys again by the next one.
                _log.error("the keys of a device cannot be read", device=device, reason=str(error))
        return again

    async def reload(self, device: str) -> list[TwinPublication]:
        """Take over the keys of a device, or of a group, from the store, between batches.

        Returns:
            What is retained for the device, to be published again: sealed with the key that it
            has now, or in clear where its keys are forgotten. The states that a group reads are
            published by `publish_group_states`.

        Raises:
            StoreError: They cannot be read.
        """
        rows, twins = await self._store.run(
            lambda store: (store.device_keys.of_device(device), twins_of(store, device))
        )
        self.keyring.replace(device, rows)
        self.unsealer.forget(device)
        self.downlink.forget(device)
        self.memory.forget(device)
        if device in self.keyring.readers.groups:
            self.groups_changed.set()
        return [publication_of(twin) for twin in twins]


async def make_sealing(
    config: Config, store: StoreThread, clock: Callable[[], int]
) -> Sealing | None:
    """Read the keys; None where no wrapping key is set, and so no device can have one.

    Raises:
        ConfigError: The wrapping key cannot be read, or is needed and not set.
        KeyWrappingError: It is another than the one that the keys were wrapped with.
        StoreError: The keys cannot be read.
    """
    await store.run(lambda opened: rewrap_keys(config.sealing, opened))
    keyring = await store.run(lambda opened: make_keyring(config.sealing, opened, clock))
    return None if keyring is None else Sealing(keyring, config, store)


def twins_of(store: Store, device: str) -> list[StoredTwin]:
    """Return all twins of a device."""
    return [*store.load(twin_keys_of(store, device)).values()]


def twin_keys_of(store: Store, device: str) -> list[TwinKey]:
    """Return the keys of all twins that a device may have: the unnamed one is not looked for."""
    return [TwinKey(device, name) for name in ("", *store.twin_names(device))]
