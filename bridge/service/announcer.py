"""Announces the bridge on its status topic, and rebuilds what the broker has forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bridge import metrics
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import LinkError, StoreUnavailable
from bridge.link.base import Link, Message, Publication, Session
from bridge.logs import get_logger
from bridge.service.publisher import Publisher
from bridge.service.status import (
    Status,
    decode_status,
    new_status,
    remembered_through,
)
from bridge.service.store_thread import StoreThread
from bridge.service.unpublished import publication_of, read_changed

READ_BACK_TIMEOUT_S: Final = 60.0
"""How long the retained status may take to arrive before it counts as lost: it stands in line with
what was queued for the bridge, and a store may be slow."""

HEARTBEAT_S: Final = 10.0
"""How often `published_through` is brought up to date: what a rebuild covers twice at most."""

LAST_SINCE: Final = "status_since"
"""Name of the store's fact that holds `since` of the last connection."""

_log = get_logger("bridge.status")


class Announcer:
    """Keeps the status topic, and the retained topics behind it.

    Args:
        instance: Identity of the store.
        last_since: `since` of the last connection before this process, or None.
        rebuild_per_s: Pace of rebuilding, in twins.
        batch_began_at: Tells when the batch at work began, in µs, or None: what it commits is not
            yet with the publisher.
    """

    def __init__(
        self,
        link: Link,
        grammar: TopicGrammar,
        store: StoreThread,
        publisher: Publisher,
        counters: metrics.Counters,
        clock: Callable[[], int],
        instance: str,
        last_since: int | None,
        rebuild_per_s: int,
        batch_began_at: Callable[[], int | None],
    ) -> None:
        self._link = link
        self._topic = grammar.status
        self._store = store
        self._publisher = publisher
        self._counters = counters
        self._clock = clock
        self._instance = instance
        self._last_since = last_since
        self._rebuild_per_s = rebuild_per_s
        self._batch_began_at = batch_began_at
        self._status = new_status(instance, clock())
        self._found: tuple[int, bytes] = (0, b"")
        self._found_something = asyncio.Event()
        self._rival = ""
        store.health.listen(self._tell)

    def will(self) -> Publication:
        """Return the last will for a connection that is about to begin."""
        self._status = new_status(self._instance, self._clock())
        return self._status.offline().publication(self._topic)

    def received(self, message: Message) -> None:
        """Take a message that arrived on the status topic; the first of a connection counts."""
        if message.generation > self._found[0]:
            self._found = (message.generation, message.payload)
            self._found_something.set()
            return
        status = decode_status(message.payload)
        if status is None or status.instance in (self._instance, self._rival):
            return
        self._rival = status.instance
        _log.error(
            "another bridge, with another store, publishes on this broker and prefix",
            its_instance=status.instance,
            hint="two of them set each other's retained topics back: end one, or give it a prefix "
            "of its own with --prefix",
        )

    def greet(self) -> asyncio.Future[None]:
        """Write the new status, before anything else takes the window of the new connection.

        Raises:
            LinkError: There is no connection any more.
        """
        return self._link.publish(self._present())

    def _present(self) -> Publication:
        """Return what is to be said now."""
        is_available = self._store.health.is_available
        return self._status.with_store(is_available=is_available).publication(self._topic)

    def _tell(self) -> None:
        """Say at once what has changed; without a connection, the next greeting says it."""
        if self._link.session is None:
            return
        with contextlib.suppress(LinkError):
            telling = self._link.publish(self._present())
            # Where that fails, the connection has ended.
            telling.add_done_callback(lambda told: told.cancelled() or told.exception())

    async def announce(self, session: Session, greeting: asyncio.Future[None]) -> None:
        """Publish again what the broker has forgotten, and keep the status up to date.

        Runs for as long as the connection stands; cancelled when it ends.

        Args:
            session: The connection.
            greeting: What `greet` returned for it.
        """
        through = await self._find_out(session.generation, greeting)
        if through is not None:
            await self._rebuild(through)
        # Not before all of it is acknowledged: whoever comes after a connection that was cut off
        # in the middle must begin again.
        self._last_since = self._status.since
        since = str(self._status.since)
        with contextlib.suppress(StoreUnavailable):
            await self._store.run(lambda store: store.set_metadata(LAST_SINCE, since))
        await self._keep_current()

    async def _find_out(self, generation: int, greeting: asyncio.Future[None]) -> int | None:
        """Tell what the broker remembers, by what stood on the status topic before."""
        own = self._present().payload
        found: Status | None = None
        try:
            await greeting
            async with asyncio.timeout(READ_BACK_TIMEOUT_S):
                payload = await self._first_status(generation)
            found = None if payload == own else decode_status(payload)
        except (LinkError, TimeoutError) as error:
            _log.warning(
                "the status topic could not be written or read back; taking it that the broker "
                "has forgotten all retained messages",
                topic=self._topic,
                reason=str(error) or f"it did not come back in {READ_BACK_TIMEOUT_S:g} s",
                hint="allow the bridge's user to write and to read this topic",
            )
        return remembered_through(found, self._instance, self._last_since, self._clock())

    async def _first_status(self, generation: int) -> bytes:
        while self._found[0] < generation:
            self._found_something.clear()
            await self._found_something.wait()
        return self._found[1]

    async def _rebuild(self, since: int) -> None:
        """Publish every twin that changed at or after a time, at the configured pace.

        A page cannot overtake a newer version on its way to the publisher: the store's thread and
        the event loop both keep the order in which they were asked.
        """
        after: TwinKey | None = None
        published = 0
        while True:
            page = await read_changed(self._store, since, after)
            if not page:
                break
            if not published:
                _log.info(
                    "publishing retained topics again, which the broker has lost",
                    changed_since=since or "ever",
                )
            for row in page:
                self._publisher.offer([publication_of(row)], rebuild=True)
            self._publisher.pump()
            published += len(page)
            self._counters.add(metrics.REBUILT, count=len(page))
            after = page[-1].key
            # The pace that the operator has set, so that live updates are still served.
            await asyncio.sleep(len(page) / self._rebuild_per_s)
            await self._publisher.wait_for_room()
        await self._publisher.wait_until_rebuilt()
        if published:
            _log.info("all retained topics are published again", twins=published)

    async def _keep_current(self) -> None:
        """Keep `published_through` up to date, and try again what was refused."""
        published = -1
        while True:
            counted = self._counters.value(metrics.PUBLISHED)
            if counted != published:
                self._status = self._status.through(self._published_through())
                with contextlib.suppress(LinkError):
                    await self._link.publish(self._present())
                    published = counted
            await asyncio.sleep(HEARTBEAT_S)
            self._publisher.retry_refused()

    def _published_through(self) -> int:
        times = [self._clock(), self._batch_began_at(), self._publisher.oldest_waiting_at()]
        return min(time for time in times if time is not None) - 1

    async def take_leave(self) -> None:
        """Say that the bridge is offline, as its last word before a clean disconnect.

        Raises:
            LinkError: It could not be published.
        """
        await self._link.publish(self._status.offline().publication(self._topic))
