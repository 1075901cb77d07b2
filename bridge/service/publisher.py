"""Publishing: each twin once, at its newest version, and never an older one after a newer.

At most one publication of a twin is on its way. While it is, and while the connection is away,
newer versions replace each other here; so a retained topic cannot go back when a publish has to be
repeated, and a broker that is slow is sent less, not more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Final, Literal

from bridge import metrics
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import LinkError, PublishRefused
from bridge.link.base import Link, Publication
from bridge.logs import RateLimited
from bridge.service.waiting import WaitingMessages
from bridge.wire import outbound

WAITING_TWINS: Final = 20_000
"""Twins that may wait for the broker before the pipeline waits too."""

WAITING_BYTES: Final = 64 * 1024 * 1024
"""The same, as the sum of their states and deltas; and bound of the waiting replies, and of the
waiting events."""

REFUSED_TWINS: Final = 10_000
"""Twins remembered whose publish the broker refused; further ones wait for the next start."""

WAITING_REPLIES: Final = 10_000
"""Replies that may wait; beyond that the oldest are dropped, and their askers ask again."""

WAITING_EVENTS: Final = 10_000
"""Events that may wait; beyond that the oldest are dropped: the history has what they told."""


class _Result(Enum):
    """What became of a publish."""

    ACKNOWLEDGED = auto()
    REFUSED = auto()
    LOST = auto()


@dataclass(slots=True)
class TwinPublication:
    """What a twin's retained topics should hold.

    Attributes:
        key: The twin.
        version: Its version.
        state: JSON of `state`; empty clears it.
        delta: JSON of `delta`; None clears it.
        with_delta: `delta` must be published, not only `state`.
        clear_presence: The retained presence must be cleared.
        at: The bridge's time of the version, in µs.
    """

    key: TwinKey
    version: int
    state: bytes
    delta: bytes | None
    with_delta: bool
    clear_presence: bool
    at: int

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps in memory."""
        return len(self.state) + len(self.delta or b"")

    def absorb(self, older: TwinPublication) -> None:
        """Take over what an older publication of the twin would have done beside."""
        self.with_delta = self.with_delta or older.with_delta
        self.clear_presence = self.clear_presence or older.clear_presence


class _Transfer:
    """A publication of a twin on its way, part by part."""

    __slots__ = ("publication", "results", "unanswered", "unsent")

    def __init__(self, publication: TwinPublication, parts: list[Publication]) -> None:
        self.publication = publication
        self.unsent = deque(parts)
        self.unanswered = len(parts)
        self.results: set[_Result] = set()


class Publisher:
    """Sends what is due, as the link's window allows."""

    def __init__(
        self,
        link: Link,
        grammar: TopicGrammar,
        encoding: Literal["json", "msgpack", "both"],
        counters: metrics.Counters,
        log: RateLimited,
    ) -> None:
        self._link = link
        self._grammar = grammar
        self._encoding = encoding
        self._counters = counters
        self._log = log
        self._replies = WaitingMessages(WAITING_REPLIES, WAITING_BYTES)
        self._events = WaitingMessages(WAITING_EVENTS, WAITING_BYTES)
        self._due: dict[TwinKey, TwinPublication] = {}
        self._rebuild: dict[TwinKey, TwinPublication] = {}
        self._in_flight: dict[TwinKey, TwinPublication] = {}
        self._refused: dict[TwinKey, TwinPublication] = {}
        self._begun: deque[_Transfer] = deque()
        self._waiting_bytes = 0
        self._rebuilding: set[TwinKey] = set()
        self._rebuilt = asyncio.Event()
        self._rebuilt.set()
        self._acknowledged: dict[TwinKey, int] = {}
        self._pump_is_due = False
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.acknowledgements = asyncio.Event()

    def offer(self, publication: TwinPublication, *, rebuild: bool = False) -> None:
        """Publish a twin as soon as may be; an older publication of it that waits is replaced."""
        key = publication.key
        if rebuild:
            self._rebuilding.add(key)
        refused = self._refused.pop(key, None)
        if refused is not None:
            publication.absorb(refused)
        waiting = self._due.get(key) or self._rebuild.get(key)
        if waiting is not None:
            self._waiting_bytes -= waiting.size_bytes
            if waiting.version > publication.version:
                waiting.absorb(publication)
                publication = waiting
            else:
                publication.absorb(waiting)
        if key in self._due or not rebuild:
            # A twin that waits keeps its place, however often it changes meanwhile.
            self._rebuild.pop(key, None)
            self._due[key] = publication
        else:
            self._rebuild[key] = publication
        self._waiting_bytes += publication.size_bytes
        self._update_events()

    def reply(self, publication: Publication) -> None:
        """Send an answer, or a question to a device."""
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
            if not self._send_next_part(self._begun[0]):
                break
        free = self._link.publish_slots
        for_messages = (free + 1) // 2 if self._due else free
        for queue, send_later in ((self._replies, self.reply), (self._events, self.tell)):
            while queue and for_messages > 0 and self._link.publish_slots > 0:
                for_messages -= 1
                if not self._send_message(queue.take(), send_later):
                    break
        for waiting in (self._due, self._rebuild):
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
        # Enough candidates to fill the window, even if all that is in flight stands in front.
        for key in list(islice(waiting, self._link.publish_slots + len(self._in_flight))):
            if self._link.publish_slots <= 0:
                return
            if key in self._in_flight:
                continue
            publication = waiting.pop(key)
            self._waiting_bytes -= publication.size_bytes
            self._in_flight[key] = publication
            transfer = _Transfer(publication, self._parts(publication))
            self._begun.append(transfer)
            while transfer.unsent and self._link.publish_slots > 0:
                if not self._send_next_part(transfer):
                    return

    def _send_next_part(self, transfer: _Transfer) -> bool:
        """Send one part of a twin's publication; False if the connection is gone."""
        part = transfer.unsent.popleft()
        if not transfer.unsent:
            self._begun.remove(transfer)

        def done(future: asyncio.Future[None]) -> None:
            self._part_done(transfer, self._result(future, str(transfer.publication.key)))

        try:
            future = self._link.publish(part)
        except LinkError:
            self._part_done(transfer, _Result.LOST)
            return False
        future.add_done_callback(done)
        return True

    def _part_done(self, transfer: _Transfer, result: _Result) -> None:
        """Note what became of a part; the publication is done when the last one is."""
        transfer.unanswered -= 1
        transfer.results.add(result)
        if result is _Result.LOST and transfer.unsent:
            transfer.unanswered -= len(transfer.unsent)
            transfer.unsent.clear()
            self._begun.remove(transfer)
        if transfer.unanswered == 0:
            self._sent(transfer.publication, transfer.results)
        elif result is not _Result.LOST:
            self._pump_soon()

    def _sent(self, publication: TwinPublication, results: set[_Result]) -> None:
        key = publication.key
        del self._in_flight[key]
        if _Result.LOST in results:
            self.offer(publication)
            return
        self._rebuilding.discard(key)
        if _Result.REFUSED in results:
            if len(self._refused) < REFUSED_TWINS:
                self._refused[key] = publication
            self._pump_soon()
            return
        self._counters.add(metrics.PUBLISHED)
        self._acknowledged[key] = publication.version
        self.acknowledgements.set()
        self._pump_soon()

    def _send_message(
        self, publication: Publication, send_later: Callable[[Publication], None]
    ) -> bool:
        """Send an answer or an event; False if the connection is gone."""

        def done(future: asyncio.Future[None]) -> None:
            if self._result(future, publication.topic) is _Result.LOST:
                send_later(publication)
            else:
                self._pump_soon()

        try:
            future = self._link.publish(publication)
        except LinkError:
            send_later(publication)
            return False
        future.add_done_callback(done)
        return True

    def _result(self, future: asyncio.Future[None], key: str) -> _Result:
        """Tell what became of a publish; one that the broker refused is reported."""
        error = None if future.cancelled() else future.exception()
        if isinstance(error, PublishRefused):
            self._counters.add(metrics.PUBLISH_REFUSED)
            self._log.warning("the broker refused a publish", key, reason=str(error))
            return _Result.REFUSED
        if future.cancelled() or error is not None:
            return _Result.LOST
        return _Result.ACKNOWLEDGED

    def retry_refused(self) -> None:
        """Offer again what the broker has refused: its rights may have been mended since."""
        for publication in list(self._refused.values()):
            self.offer(publication, rebuild=True)
        self.pump()

    def _parts(self, publication: TwinPublication) -> list[Publication]:
        key = publication.key
        parts = self._retained(key, "state", publication.state)
        if publication.with_delta:
            parts += self._retained(key, "delta", publication.delta or b"")
        if publication.clear_presence and not key.name:
            parts.append(Publication(self._grammar.topic(key, "presence"), b"", retain=True))
        return parts

    def _retained(self, key: TwinKey, verb: str, document: bytes) -> list[Publication]:
        topic = self._grammar.topic(key, verb)
        parts = []
        if self._encoding != "msgpack":
            parts.append(Publication(topic, document, True, _content_type("json", document)))
        if self._encoding != "json":
            packed = outbound.as_msgpack(document) if document else b""
            if self._encoding == "both":
                topic += "/msgpack"
            parts.append(Publication(topic, packed, True, _content_type("msgpack", document)))
        return parts

    def take_acknowledged(self) -> list[tuple[TwinKey, int]]:
        """Return, once, the versions that the broker has acknowledged since the last call."""
        acknowledged = list(self._acknowledged.items())
        self._acknowledged.clear()
        self.acknowledgements.clear()
        return acknowledged

    def give_back(self, acknowledged: list[tuple[TwinKey, int]]) -> None:
        """Return what `take_acknowledged` gave and could not be stored."""
        for key, version in acknowledged:
            self._acknowledged[key] = max(version, self._acknowledged.get(key, 0))
        self.acknowledgements.set()

    def oldest_waiting_at(self) -> int | None:
        """Return the time of the oldest version that is not acknowledged yet, in µs, or None."""
        waiting = (*self._due.values(), *self._rebuild.values(), *self._in_flight.values())
        return min((publication.at for publication in waiting), default=None)

    @property
    def has_room(self) -> bool:
        """Tell whether more twins may be offered."""
        return self._room.is_set()

    async def wait_for_room(self) -> None:
        """Wait while more twins are waiting than may wait."""
        await self._room.wait()

    async def wait_until_rebuilt(self) -> None:
        """Wait until the broker has answered everything that was offered with `rebuild`."""
        await self._rebuilt.wait()

    async def wait_until_idle(self) -> None:
        """Wait until everything has been sent and acknowledged."""
        await self._idle.wait()

    def _update_events(self) -> None:
        waiting = len(self._due) + len(self._rebuild)
        _set_to(self._room, waiting < WAITING_TWINS and self._waiting_bytes < WAITING_BYTES)
        _set_to(self._rebuilt, not self._rebuilding)
        _set_to(self._idle, not (waiting or self._in_flight or self._replies or self._events))


def _set_to(event: asyncio.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()


def _content_type(encoding: Literal["json", "msgpack"], document: bytes) -> str | None:
    return outbound.CONTENT_TYPES[encoding] if document else None
