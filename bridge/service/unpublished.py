"""Twins whose version the broker has not acknowledged, read from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

from bridge.core.topics import TwinKey
from bridge.errors import StoreUnavailable, TwinCorrupt
from bridge.logs import get_logger
from bridge.service.publisher import Publisher
from bridge.service.store_thread import StoreThread
from bridge.service.twin_publication import TwinPublication
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin

PAGE_TWINS: Final = 500
"""Twins read from the store at once."""

RETRY_S: Final = 1.0
"""Pause before a store that could not be read is asked again."""

UNKNOWN_AT: Final = 1
"""Time, in µs, of what is left where nobody knows since when."""

_log = get_logger("bridge.unpublished")


def publication_of(row: StoredTwin) -> TwinPublication:
    """Return everything that a twin's retained topics should hold."""
    return TwinPublication(
        row.key,
        row.version,
        row.state if row.exists else b"",
        row.delta,
        with_delta=True,
        clear_presence=not row.exists and not _is_there(row),
        at=row.at,
    )


def _is_there(row: StoredTwin) -> bool:
    """A device can be there whose twin is not: known by its presence only, or back again."""
    try:
        return bool(decode_twin(row).online)
    except TwinCorrupt as error:
        # Its presence is left as it is: what is damaged must not end a rebuild of all others.
        _log.error("a deleted twin cannot be read", twin=str(row.key), reason=error.message)
        return True


async def publish_unfinished(store: StoreThread, publisher: Publisher) -> int:
    """Offer everything that was committed and that the broker has not acknowledged.

    A page cannot overtake a newer version on its way to the publisher: the store's thread and
    the event loop both keep the order in which they were asked.

    Returns:
        How many twins there were.

    Raises:
        StoreUnavailable: The store cannot be read.
    """
    after: TwinKey | None = None
    total = 0
    while True:
        await publisher.wait_for_room()
        page = await _page(store, after)
        if not page:
            return total
        publisher.offer_unpublished(map(publication_of, page))
        publisher.pump()
        total += len(page)
        after = page[-1].key


def resume_publishing(store: StoreThread, publisher: Publisher) -> Coroutine[None, None, None]:
    """Return what publishes, from now on, what was committed and is not published."""
    publisher.left_behind.add(UNKNOWN_AT)
    return publish_left_behind(store, publisher)


async def publish_left_behind(store: StoreThread, publisher: Publisher) -> None:
    """Publish what was left in the store, at the last end or as too much waited.

    It runs until cancelled, beside the pipeline, which goes on meanwhile.
    """
    left = publisher.left_behind
    while True:
        await left.wait()
        await publisher.wait_for_room()
        left.begin()
        try:
            twins = await publish_unfinished(store, publisher)
        except StoreUnavailable as error:
            left.give_up()
            _log.error("the store cannot be read; trying again", reason=error.message)
            await asyncio.sleep(RETRY_S)
        else:
            left.end()
            if twins:
                _log.info("publishing what the broker has not acknowledged before", twins=twins)


async def read_changed(store: StoreThread, since: int, after: TwinKey | None) -> list[StoredTwin]:
    """Return the next twins that changed at or after a time in µs, as soon as they can be read."""
    while True:
        try:
            return await store.run(lambda opened: opened.changed_since(since, after, PAGE_TWINS))
        except StoreUnavailable as error:
            _log.error("the store cannot be read; trying again", reason=error.message)
            await asyncio.sleep(RETRY_S)


async def _page(store: StoreThread, after: TwinKey | None) -> list[StoredTwin]:
    return await store.run(lambda opened: opened.unpublished(after, PAGE_TWINS))
