"""Takes devices offline that have been silent for too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import orjson

from bridge import metrics
from bridge.core.topics import TwinKey
from bridge.core.update import Presence
from bridge.errors import StoreCorrupt, StoreUnavailable
from bridge.logs import RateLimited
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.silence import Silence
from bridge.service.store_thread import StoreThread
from bridge.store.base import StoredTwin

OFFLINE_AT_ONCE: Final = 500
"""Devices that go offline in one transaction: messages wait for it."""

PAGE_TWINS: Final = 500
"""Twins read from the store at once when the devices that are online are looked for."""

PAGE_PAUSE_S: Final = 0.05
"""Pause between two pages, so that messages are still served."""

RETRY_S: Final = 1.0
"""How long to wait where the store cannot be used."""


class SilenceWatch:
    """Has devices go offline, in time, by an order to the pipeline.

    Times are in s, on the event loop's clock.

    Args:
        silence: Who was heard when.
        pipeline: Makes the versions.
        publisher: Is waited for where too much is due already.
        store: Tells, at the beginning, which devices are online.
        counters: Counts the devices that went offline.
        log: Rate limited.
        clock: The event loop's clock.
    """

    def __init__(
        self,
        silence: Silence,
        pipeline: Pipeline,
        publisher: Publisher,
        store: StoreThread,
        counters: metrics.Counters,
        log: RateLimited,
        clock: Callable[[], float],
    ) -> None:
        self._silence = silence
        self._pipeline = pipeline
        self._publisher = publisher
        self._store = store
        self._counters = counters
        self._log = log
        self._clock = clock
        self._after: TwinKey | None = None
        self._next_page_at: float | None = float("-inf")
        self._retry_at = float("-inf")

    def next_at(self, _now: float) -> float | None:
        """Return when the next device is to go offline, or to be looked for in the store."""
        due = [time for time in (self._next_page_at, self._silence.next_at()) if time is not None]
        return max(min(due), self._retry_at) if due else None

    async def act(self, now: float) -> None:
        """Do what is due."""
        try:
            if self._next_page_at is not None and self._next_page_at <= now:
                await self._read_page(now)
            await self._take_offline(now)
        except StoreUnavailable as error:
            self._retry_at = now + RETRY_S
            self._log.warning(
                "the store cannot be used; silent devices stay online until it can",
                "silence",
                reason=error.message,
            )

    async def _read_page(self, now: float) -> None:
        """Watch the devices of a page that were online when the bridge was last here."""
        after = self._after
        rows = await self._store.run(lambda store: store.changed_since(0, after, PAGE_TWINS))
        if not rows:
            self._next_page_at = None
            return
        for row in rows:
            if not row.key.name and _is_online(row):
                self._silence.expect(row.key.device)
        self._after = rows[-1].key
        self._next_page_at = now + PAGE_PAUSE_S

    async def _take_offline(self, now: float) -> None:
        devices = self._silence.overdue(now, OFFLINE_AT_ONCE)
        if not devices:
            return
        if not self._publisher.has_room:
            # Not waited for: other things are due as well.
            self._retry_at = now + RETRY_S
            return
        gone: list[str] = []

        def is_still_silent(key: TwinKey) -> bool:
            # It may have been heard while the order waited for its turn.
            if not self._silence.is_overdue(key.device, self._clock()):
                return False
            gone.append(key.device)
            return True

        try:
            await self._submit(devices, is_still_silent)
        except StoreCorrupt:
            # One of them cannot be read: the others must not wait for it.
            gone.clear()
            for device in devices:
                await self._submit_alone(device, is_still_silent)
        for device in gone:
            if self._silence.is_overdue(device, self._clock()):
                self._silence.forget(device)

    async def _submit(self, devices: Iterable[str], wanted: Callable[[TwinKey], bool]) -> None:
        outcomes = await self._pipeline.submit_all(
            [(TwinKey(device), Presence(False)) for device in devices], wanted=wanted
        )
        self._counters.add(
            metrics.SILENT_OFFLINE, count=sum(outcome.changed for outcome in outcomes)
        )

    async def _submit_alone(self, device: str, wanted: Callable[[TwinKey], bool]) -> None:
        try:
            await self._submit([device], wanted)
        except StoreCorrupt as error:
            self._silence.forget(device)
            self._log.warning(
                "a silent device cannot be taken offline", device, reason=error.message
            )


def _is_online(row: StoredTwin) -> bool:
    # A look at the bytes first: most fleets are large, and few of them are online for ever.
    if not row.exists or b'"online":true' not in row.state:
        return False
    try:
        state: object = orjson.loads(row.state)
    except orjson.JSONDecodeError:
        return False  # It is damaged; its next message will tell.
    return isinstance(state, dict) and state.get("online") is True
