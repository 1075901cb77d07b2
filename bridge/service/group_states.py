"""What is retained is published again when it gets another reader: a group's new key, or a group.

A group never sends, so that no message of it could prove that something has changed. What was
published last is known by a fact of the store: so a key may also be changed while no bridge runs,
and a bridge may be killed between the change and what follows from it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, Self

import orjson

from bridge.core.readers import Readers
from bridge.core.topics import TwinKey
from bridge.errors import StoreUnavailable
from bridge.logs import get_logger
from bridge.service.identity import keep_fact
from bridge.service.keyring import Keyring
from bridge.service.publisher import Publisher
from bridge.service.sealing import Sealing, twin_keys_of
from bridge.service.store_thread import StoreThread
from bridge.service.unpublished import RETRY_S, publication_of
from bridge.store.base import Store, StoredTwin

READERS_TOLD: Final = "readers_told"
"""Name of the store's fact that says for whom the retained states are sealed."""

DEVICES_AT_ONCE: Final = 50
"""Devices whose twins are read from the store at once."""

_log = get_logger("bridge.sealing")


class ReadersTold(NamedTuple):
    """For whom retained states are sealed.

    Attributes:
        table: Digest of the list of readers; empty where there is none.
        keys: Id of the key of each group that has one.
    """

    table: str
    keys: Mapping[str, int]

    @classmethod
    def of(cls, keyring: Keyring) -> Self:
        """Return for whom they are to be sealed now."""
        table = [[*rule] for rule in keyring.readers.table]
        digest = hashlib.sha256(orjson.dumps(table)).hexdigest() if table else ""
        keys = {group: keyring.sealing(group) for group in sorted(keyring.readers.groups)}
        return cls(digest, {group: key.key_id for group, key in keys.items() if key is not None})

    @classmethod
    def read(cls, fact: str | None) -> Self:
        """Read the store's fact; without one nothing was ever sealed for a group."""
        return cls("", {}) if fact is None else cls(*orjson.loads(fact))

    def written(self) -> str:
        """Return the fact."""
        return orjson.dumps([self.table, self.keys]).decode()

    def has_other_reader(self, before: ReadersTold, readers: Readers, key: TwinKey) -> bool:
        """Tell whether the state of a twin may be sealed for another reader than before."""
        if self.table != before.table:
            return True
        group = readers.group_of(key)
        return group is not None and self.keys.get(group) != before.keys.get(group)


_UNFINISHED: Final = ReadersTold("unfinished", {}).written()
"""The fact while what follows from another list or key is published: equal to none."""


async def publish_group_states(sealing: Sealing, store: StoreThread, publisher: Publisher) -> None:
    """Publish states again whenever they have got another reader; runs until cancelled."""
    while True:
        await sealing.groups_changed.wait()
        sealing.groups_changed.clear()
        try:
            facts = await store.run(lambda opened: opened.metadata())
            before = ReadersTold.read(facts.get(READERS_TOLD))
            told = ReadersTold.of(sealing.keyring)
            if told == before:
                continue
            # What is set back before all is published must be found to have changed: a list that
            # is as it was, and also a key that was made and is revoked.
            await store.run(lambda opened: opened.set_metadata(READERS_TOLD, _UNFINISHED))
            twins = await _publish(told, before, sealing, store, publisher)
        except StoreUnavailable as error:
            _log.error("the store cannot be read; trying again", reason=error.message)
            await asyncio.sleep(RETRY_S)
            sealing.groups_changed.set()
            continue
        await publisher.wait_until_rebuilt()
        # A key that was changed meanwhile is found in the next round: this is what was read above.
        await keep_fact(store, READERS_TOLD, told.written())
        if twins:
            _log.info("states are published again, sealed for their readers", twins=twins)


async def _publish(
    told: ReadersTold,
    before: ReadersTold,
    sealing: Sealing,
    store: StoreThread,
    publisher: Publisher,
) -> int:
    """Publish the states that have another reader than before, at the configured pace.

    What was read cannot overtake a newer version on its way to the publisher: the store's thread
    and the event loop both keep the order in which they were asked.

    Returns:
        How many twins there were.
    """
    readers = sealing.keyring.readers
    devices = sealing.keyring.devices()
    published = 0

    def is_due(key: TwinKey) -> bool:
        return told.has_other_reader(before, readers, key)

    for start in range(0, len(devices), DEVICES_AT_ONCE):
        some = devices[start : start + DEVICES_AT_ONCE]
        await publisher.wait_for_room()
        twins = await store.run(partial(_read, devices=some, is_due=is_due))
        publisher.offer(map(publication_of, twins), rebuild=True)
        publisher.pump()
        published += len(twins)
        # The pace that the operator has set, so that live updates are still served.
        await asyncio.sleep(len(twins) / sealing.rebuild_per_s)
    return published


def _read(
    store: Store, devices: Sequence[str], is_due: Callable[[TwinKey], bool]
) -> list[StoredTwin]:
    keys = (key for device in devices for key in twin_keys_of(store, device))
    return [*store.load([key for key in keys if is_due(key)]).values()]
