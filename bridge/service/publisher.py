"""Publishing: each twin once, at its newest version, and never an older one after a newer.

At most one publication of a twin is on its way. While it is, and while the connection is away,
newer versions replace each other here; so a retained topic cannot go back when a publish has to be
repeated, and a broker that is slow is sent less, not more.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap, deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from typing import Final

from bridge import metrics
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import LinkError, PublishRefused
from bridge.link.base import Link, Publication
from bridge.logs import RateLimited
from bridge.service.acknowledged import Acknowledged
from bridge.service.downlink import Downlink
from bridge.service.refused_twins import RefusedTwins
from bridge.service.twin_publication import (
    Pack,
    Parts,
    PublishedEncoding,
    Transfer,
    TwinPublication,
)
from bridge.service.waiting import LeftBehind, PublishBacklog, WaitingMessages

WAITING_TWINS: Final = 50_000
"""Twins that may wait for the broker in memory. Further ones wait in the store: a broker that runs
ahead has its acknowledgements stand behind what the bridge has yet to take, so nobody may wait."""

WAITING_BYTES: Final = 64 * 1024 * 1024
"""The same, as the sum of their states and deltas; and bound of the waiting replies, and of the
waiting events."""

WAITING_REPLIES: Final = 10_000
"""Replies that may wait; beyond that the oldest are dropped, and their askers ask again."""

WAITING_EVENTS: Final = 10_000
"""Events that may wait; beyond that the oldest are dropped: the history has what they told."""


class Publisher:
    """Sends what is due, as the link's window allows."""

    def __init__(
        self,
        link: Link,
        grammar: TopicGrammar,
        encoding: PublishedEncoding,
        counters: metrics.Counters,
        log: RateLimited,
        downlink: Downlink | None = None,
        pack: Pack | None = None,
    ) -> None:
        self._pack = pack
        self._link = link
        self._downlink = downlink
        self._parts = Parts(grammar, encoding, pack)
        self._counters = counters
        self._log = log
        self._replies = WaitingMessages(WAITING_REPLIES, WAITING_BYTES)
        self._events = WaitingMessages(WAITING_EVENTS, WAITING_BYTES)
        self._due: dict[TwinKey, TwinPublication] = {}
        self._rebuild: dict[TwinKey, TwinPublication] = {}
        self._in_flight: dict[TwinKey, TwinPublication] = {}
        self._refused = RefusedTwins()
        self._begun: deque[Transfer] = deque()
        self._waiting_bytes = 0
        self.left_behind = LeftBehind()
        self._rebuilding: dict[TwinKey, TwinPublication | None] = {}
        self._rebuilt = asyncio.Event()
        self._rebuilt.set()
        self._acknowledged = Acknowledged()
        self._pump_is_due = False
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.acknowledgements = asyncio.Event()
        self._timed: Transfer | None = None
        self._timed_since = 0.0

    def offer(self, publications: Iterable[TwinPublication], *, rebuild: bool = False) -> None:
        """Publish twins as soon as may be; older publications of them that wait are replaced.

        Where too many wait already, one that is in the store is left there, see `left_behind`.
        """
        for publication in publications:
            self._offer(publication, rebuild=rebuild)
        self._update_events()

    def offer_unpublished(self, publications: Iterable[TwinPublication]) -> None:
        """Publish what the store does not know to be acknowledged, where that is not under way."""
        self.offer(
            publication
            for publication in publications
            if not self._is_under_way(publication.key, publication.version)
        )

    def _is_under_way(self, key: TwinKey, version: int) -> bool:
        in_flight = self._in_flight.get(key)
        return self._acknowledged.has(key, version) or (
            in_flight is not None and in_flight.version == version
        )

    def _offer(self, publication: TwinPublication, *, rebuild: bool) -> None:
        key = publication.key
        if rebuild:
            # What is on its way is not what is asked for, even of the same version.
            self._rebuilding[key] = self._in_flight.get(key)
        if len(self._refused) and (refused := self._refused.pop(key)) is not None:
            publication.absorb(refused)
        waiting = self._due.get(key)
        is_due = waiting is not None
        if waiting is None and self._rebuild:
            waiting = self._rebuild.get(key)
        if waiting is not None:
            self._waiting_bytes -= waiting.size_bytes
            if waiting.version > publication.version:
                waiting.absorb(publication)
                publication = waiting
            else:
                publication.absorb(waiting)
        elif not rebuild:
            if self._is_full:
                self.left_behind.add(publication.at)
                return
            if self.left_behind:
                # What is left of this twin is not published any more, whatever it would have done.
                publication.with_delta = True
        if is_due or not rebuild:
            # A twin that waits keeps its place, however often it changes meanwhile.
            if self._rebuild:
                self._rebuild.pop(key, None)
            self._due[key] = publication
        else:
            self._rebuild[key] = publication
        self._waiting_bytes += publication.size_bytes

    def ask(self, key: TwinKey, publication: Publication) -> None:
        """Send a question to a device."""
        self.reply(publication if self._pack is None else self._pack(key, publication))

    def reply(self, publication: Publication) -> None:
        """Send an answer, or what else must leave once."""
        if dropped := self._replies.add(publication):
            self._counters.add(metrics.REPLIES_DROPPED, count=dropped)
        self._update_events()

    def tell(self, publication: Publication) -> None:
        """Send an event."""
        if dropped := self._events.add(publication):
            self._counters.add(metrics.EVENTS_DROPPED, count=dropped)
        self._update_events()

    def pump(self) -> None:
        """Send what is due, as far as the window goes.

        What was begun comes first; then replies and events, which may take half of what is free
        while twins wait; then twins, and what is to be rebuilt.
        """
        while self._begun and self._link.publish_slots > 0:
            if not self._advance(self._begun.popleft()):
                break
        free = self._link.publish_slots
        for_messages = (free + 1) // 2 if self._due else free
        for queue, send_later in ((self._replies, self.reply), (self._events, self.tell)):
            while queue and for_messages > 0 and self._link.publish_slots > 0:
                for_messages -= 1
                if not self._send_message(queue.take(), send_later):
                    break
        for waiting in (self._due, self._rebuild):
            if waiting:
                self._send_twins(waiting)
        self._update_events()

    def _pump_soon(self) -> None:
        """Pump once for all the acknowledgements that arrive together."""
        if not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pump_is_due = False
        self.pump()

    def _send_twins(self, waiting: dict[TwinKey, TwinPublication]) -> None:
        slots = self._link.publish_slots
        # Enough candidates to fill the window, even if all that is in flight stands in front.
        for key in list(islice(waiting, slots + len(self._in_flight))) if slots else ():
            if self._link.publish_slots <= 0:
                return
            if key in self._in_flight:
                continue
            publication = waiting.pop(key)
            self._waiting_bytes -= publication.size_bytes
            self._in_flight[key] = publication
            transfer = Transfer(publication, self._parts.of(publication))
            if self._timed is None:
                self._timed, self._timed_since = transfer, self._counters.stages.clock()
            if not self._advance(transfer):
                return

    def _advance(self, transfer: Transfer) -> bool:
        """Send parts of a twin's publication; False if the connection is gone."""
        link = self._link
        while transfer.unsent:
            if link.publish_slots <= 0:
                self._begun.append(transfer)
                return True
            part = transfer.unsent.pop()
            try:
                link.send(self._sealed(part), partial(self._part_answered, transfer))
            except LinkError as error:
                self._part_answered(transfer, error)
                return False
        return True

    def _part_answered(self, transfer: Transfer, error: LinkError | None) -> None:
        """Note what became of a part; the publication is done when the last one is."""
        transfer.unanswered -= 1
        if error is not None:
            self._part_failed(transfer, error)
        if transfer.unanswered == 0:
            self._sent(transfer)
        if not transfer.is_lost:
            self._pump_soon()

    def _part_failed(self, transfer: Transfer, error: LinkError) -> None:
        if self._is_refusal(error, str(transfer.publication.key)):
            transfer.is_refused = True
            return
        transfer.is_lost = True
        if transfer.unsent:
            transfer.unanswered -= len(transfer.unsent)
            transfer.unsent.clear()
            if transfer in self._begun:
                self._begun.remove(transfer)

    def _sent(self, transfer: Transfer) -> None:
        publication = transfer.publication
        key = publication.key
        del self._in_flight[key]
        if transfer is self._timed:
            self._timed = None
            if not transfer.is_lost:
                self._counters.stages.alone(metrics.PUBLISH, self._timed_since)
        if transfer.is_lost:
            self.offer([publication], rebuild=key in self._rebuilding)
            return
        if self._rebuilding.get(key, publication) is not publication:
            del self._rebuilding[key]
        if transfer.is_refused:
            self._note_refused(publication)
            return
        self._counters.add(metrics.PUBLISHED)
        self._acknowledged.add(key, publication.version)
        self.acknowledgements.set()

    def _note_refused(self, publication: TwinPublication) -> None:
        """Let a newer version of the twin do what this one could not; else remember it."""
        newer = self._due.get(publication.key) or self._rebuild.get(publication.key)
        if newer is None:
            self._refused.add(publication)
        else:
            newer.absorb(publication)

    def _send_message(
        self, publication: Publication, send_later: Callable[[Publication], None]
    ) -> bool:
        """Send an answer or an event; False if the connection is gone."""

        def answered(error: LinkError | None) -> None:
            if error is None or self._is_refusal(error, publication.topic):
                self._pump_soon()
            else:
                send_later(publication)

        sealed = self._sealed(publication)
        if publication.payload and not sealed.payload:
            return True  # Its reader has no key any more: it is told nothing.
        try:
            self._link.send(sealed, answered)
        except LinkError:
            send_later(publication)
            return False
        return True

    def _sealed(self, publication: Publication) -> Publication:
        return publication if self._downlink is None else self._downlink.seal(publication)

    def _is_refusal(self, error: LinkError, key: str) -> bool:
        """Tell a publish that the broker refused, and report it, from one that was lost."""
        if not isinstance(error, PublishRefused):
            return False
        self._counters.add(metrics.PUBLISH_REFUSED)
        self._log.warning("the broker refused a publish", key, reason=str(error))
        return True

    def retry_refused(self) -> None:
        """Offer again what the broker has refused: its rights may have been mended since."""
        self.offer(self._refused.some(), rebuild=True)
        self.pump()

    def take_acknowledged(self, *, everything: bool = False) -> list[tuple[TwinKey, int]]:
        """Return, once, versions that the broker has acknowledged and the store does not know.

        Args:
            everything: Also of twins that may well change again at once.
        """
        if everything:
            taken = self._acknowledged.take_all()
        else:
            on_their_way = ChainMap(self._due, self._rebuild, self._in_flight)
            taken = self._acknowledged.take_settled(on_their_way)
        if not len(self._acknowledged):
            self.acknowledgements.clear()
        return taken

    def give_back(self, acknowledged: list[tuple[TwinKey, int]]) -> None:
        """Return what `take_acknowledged` gave and could not be stored."""
        self._acknowledged.give_back(acknowledged)
        self.acknowledgements.set()

    @property
    def backlog(self) -> PublishBacklog:
        """What waits for the broker, or for its acknowledgement."""
        return PublishBacklog(
            twins=len(self._due),
            rebuilding=len(self._rebuild),
            in_flight=len(self._in_flight),
            messages=len(self._replies) + len(self._events),
            size_bytes=self._waiting_bytes,
        )

    def oldest_waiting_at(self) -> int | None:
        """Return the time of the oldest version that is not acknowledged yet, in µs, or None."""
        waiting = (*self._due.values(), *self._rebuild.values(), *self._in_flight.values())
        oldest_at = min((publication.at for publication in waiting), default=None)
        left_at = self.left_behind.oldest_at
        return left_at if oldest_at is None else min(oldest_at, left_at or oldest_at)

    @property
    def has_room(self) -> bool:
        """Tell whether twins may be offered that have time: half of what may wait is for those."""
        return self._room.is_set()

    async def wait_for_room(self) -> None:
        """Wait until twins may be offered that have time."""
        await self._room.wait()

    @property
    def _is_full(self) -> bool:
        waiting = len(self._due) + len(self._rebuild)
        return waiting >= WAITING_TWINS or self._waiting_bytes >= WAITING_BYTES

    async def wait_until_rebuilt(self) -> None:
        """Wait until the broker has answered everything that was offered with `rebuild`."""
        await self._rebuilt.wait()

    async def wait_until_idle(self) -> None:
        """Wait until everything has been sent and acknowledged."""
        await self._idle.wait()

    def _update_events(self) -> None:
        waiting = len(self._due) + len(self._rebuild)
        _set_to(
            self._room,
            2 * waiting < WAITING_TWINS and 2 * self._waiting_bytes < WAITING_BYTES,
        )
        _set_to(self._rebuilt, not self._rebuilding)
        _set_to(self._idle, not (waiting or self._in_flight or self._replies or self._events))


def _set_to(event: asyncio.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()
