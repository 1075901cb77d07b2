"""What was committed, in order: for who reads along, and for who comes back after a while.

A batch costs nothing here as long as nobody reads along: it is not even looked at then.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import orjson

from bridge.core.pattern import DevicePattern, is_literal
from bridge.core.topics import TwinKey
from bridge.http.shelf import Shelf, View, view_of
from bridge.query.matching import evaluate
from bridge.query.terms import Term

REPLAY_IDLE_S: Final = 600.0
"""How long past changes are still kept when nobody reads along any more."""

EVENT_BYTES: Final = 400
"""Memory that a change takes beside its document."""


Kind: TypeAlias = Literal["change", "enter", "leave"]


class Committed(Protocol):
    """A new version of a twin that is on the disk.

    Attributes:
        key: The twin.
        version: The version.
        state: JSON as it stands on `state`; empty where the twin was deleted.
    """

    key: TwinKey
    version: int
    state: bytes


class Event:
    """One change of one twin.

    Attributes:
        number: Which one since the hub woke up, from 1.
        stamp: The place behind it.
        key: The twin.
        view: The twin after the change.
        kind: What it is to a reader: a change, or that a query finds the twin now, or no longer.
    """

    __slots__ = ("_document", "_found", "_text", "key", "kind", "number", "stamp", "view")

    def __init__(
        self, number: int, stamp: str, key: TwinKey, view: View, kind: Kind = "change"
    ) -> None:
        self.number = number
        self.stamp = stamp
        self.key = key
        self.view = view
        self.kind = kind
        self._text: str | None = None
        self._document: dict[str, object] | None = None
        self._found: dict[int, bool] = {}

    @property
    def text(self) -> str:
        """JSON of it for who may read all of the twin; made once for all of them."""
        if self._text is None:
            head = f'{{"type":"{self.kind}","stamp":"{self.stamp}",'
            self._text = head + self.view.document[1:].decode()
        return self._text

    def turned(self, kind: Kind) -> Event:
        """Return it as what it is to a reader."""
        if kind == self.kind:
            return self
        return Event(self.number, self.stamp, self.key, self.view, kind)

    def matches(self, term: Term) -> bool:
        """Tell whether a query finds the twin after the change.

        What was found is kept until `release`, by the identity of the term: readers who ask the
        same share it.
        """
        if not self.view.exists:
            return False
        found = self._found.get(id(term))
        if found is None:
            if self._document is None:
                self._document = orjson.loads(self.view.document)
            found = self._found[id(term)] = evaluate(term, self._document) is True
        return found

    def release(self) -> None:
        """Forget what `matches` has found."""
        self._document = None
        self._found.clear()

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return EVENT_BYTES + len(self.view.document)


class Reader:
    """One who reads along. Made by `Hub.subscribe`.

    Attributes:
        pattern: Which twins it reads.
        waiting: Changes that it has not taken yet.
        overflowed: Set when more changes waited than may; nothing is added any more.
        arrived: Set when something waits, or there will be nothing more.
        has_ended: The hub was closed.
        judge: What a change is to it, where it does not follow all of them; None is nothing.
    """

    __slots__ = ("_limit", "arrived", "has_ended", "judge", "overflowed", "pattern", "waiting")

    def __init__(self, pattern: DevicePattern, limit: int) -> None:
        self.pattern = pattern
        self.waiting: deque[Event] = deque()
        self.overflowed = asyncio.Event()
        self.arrived = asyncio.Event()
        self.has_ended = False
        self.judge: Callable[[Event], Event | None] | None = None
        self._limit = limit

    def add(self, event: Event) -> None:
        """Let a change wait for it."""
        if self.overflowed.is_set():
            return
        if self.judge is not None:
            judged = self.judge(event)
            if judged is None:
                return
            event = judged
        if len(self.waiting) >= self._limit:
            self.overflowed.set()
            self.waiting.clear()
        else:
            self.waiting.append(event)
        self.arrived.set()


class Hub:
    """Hands what was committed to readers.

    Args:
        shelf: Kept up to date.
        replay_bytes: Memory for past changes.
        reader_events: Changes that may wait for one reader.
        clock: Monotonic time in seconds.

    Attributes:
        shelf: As given.
    """

    def __init__(
        self, shelf: Shelf, replay_bytes: int, reader_events: int, clock: Callable[[], float]
    ) -> None:
        self.shelf: Final = shelf
        self._replay_bytes = replay_bytes
        self._reader_events = reader_events
        self._clock = clock
        self._past: deque[Event] = deque()
        self._past_bytes = 0
        self._number = 0
        self._epoch = _new_epoch()
        self._of_device: dict[str, set[Reader]] = {}
        self._of_many: set[Reader] = set()
        self._readers = 0
        self._sleeps_at: float | None = 0.0

    @property
    def is_awake(self) -> bool:
        """Somebody reads along, or did a while ago."""
        return self._readers > 0 or self._sleeps_at is None or self._clock() < self._sleeps_at

    @property
    def stamp(self) -> str:
        """The place behind the last change."""
        return self.stamp_of(self._number)

    def stamp_of(self, number: int) -> str:
        """Return the place behind a change."""
        return f"{self._epoch}-{number}"

    def committed(self, changes: Sequence[Committed]) -> None:
        """Take what a batch has made."""
        if not self.is_awake:
            if self._past:
                self._forget()
            if len(self.shelf):
                self._refresh(changes)
            return
        for change in changes:
            view = view_of(change.key, change.version, change.state)
            if change.key in self.shelf:
                self.shelf.put(change.key, view)
            number = self._number + 1
            self._tell(Event(number, self.stamp_of(number), change.key, view))

    def _refresh(self, changes: Iterable[Committed]) -> None:
        shelf = self.shelf
        for change in changes:
            if change.key in shelf:
                shelf.put(change.key, view_of(change.key, change.version, change.state))

    def _forget(self) -> None:
        """Forget the past: stamps of now will not be followed by what comes later."""
        self._past.clear()
        self._past_bytes = 0
        self._epoch = _new_epoch()

    def _tell(self, event: Event) -> None:
        self._number = event.number
        self._past.append(event)
        self._past_bytes += event.size_bytes
        while self._past_bytes > self._replay_bytes and self._past:
            self._past_bytes -= self._past.popleft().size_bytes
        for reader in self._of_device.get(event.key.device, ()):
            if reader.pattern.matches(event.key):
                reader.add(event)
        for reader in self._of_many:
            if reader.pattern.matches(event.key):
                reader.add(event)
        event.release()

    def subscribe(self, pattern: DevicePattern) -> Reader:
        """Let somebody read along from now on."""
        if not self.is_awake:
            # Stamps from before the sleep would skip what happened meanwhile.
            self._forget()
        reader = Reader(pattern, self._reader_events)
        self._group(pattern).add(reader)
        self._readers += 1
        return reader

    def unsubscribe(self, reader: Reader) -> None:
        """Let somebody go."""
        group = self._group(reader.pattern)
        group.discard(reader)
        if not group and is_literal(reader.pattern.device):
            del self._of_device[reader.pattern.device[0]]
        self._readers -= 1
        self._sleeps_at = self._clock() + REPLAY_IDLE_S

    def _group(self, pattern: DevicePattern) -> set[Reader]:
        if is_literal(pattern.device):
            return self._of_device.setdefault(pattern.device[0], set())
        return self._of_many

    def close(self) -> None:
        """End what everybody reads."""
        for reader in self._all_readers():
            reader.has_ended = True
            reader.arrived.set()

    def wake(self) -> None:
        """Make everybody look whether it may still read."""
        for reader in self._all_readers():
            reader.arrived.set()

    def _all_readers(self) -> list[Reader]:
        return [*self._of_many, *(r for group in self._of_device.values() for r in group)]

    def replay(self, stamp: str, pattern: DevicePattern) -> list[Event] | None:
        """Return what a reader has missed since a stamp; None where that is not known any more."""
        epoch, dash, text = stamp.rpartition("-")
        if not dash or epoch != self._epoch or not (text.isascii() and text.isdecimal()):
            return None
        number = int(text) if len(text) < 20 else self._number + 1
        oldest = self._past[0].number if self._past else self._number + 1
        if not oldest - 1 <= number <= self._number:
            return None
        return [e for e in self._past if e.number > number and pattern.matches(e.key)]


def _new_epoch() -> str:
    return secrets.token_hex(6)
