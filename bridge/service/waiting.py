"""What waits for the broker. Messages that do are bounded: the oldest go first."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from bridge.link.base import Publication


class PublishBacklog(NamedTuple):
    """What waits for the broker, or for its acknowledgement.

    Attributes:
        twins: Twins that wait to be sent.
        rebuilding: The same, of those that the broker has lost.
        in_flight: Twins that were sent and are not acknowledged yet.
        messages: Replies, questions and events that wait to be sent.
        size_bytes: States and deltas that wait to be sent.
    """

    twins: int
    rebuilding: int
    in_flight: int
    messages: int
    size_bytes: int


class LeftBehind:
    """What the publisher has left in the store, because too much waited: since when, no more.

    What is left is found again by reading all that the broker has not acknowledged. What is left
    meanwhile may stand in front of where the reader is, and takes another reading.
    """

    def __init__(self) -> None:
        self._left_at: int | None = None
        self._reading_at: int | None = None
        self._some = asyncio.Event()

    def __bool__(self) -> bool:
        """Tell whether anything is left."""
        return self._left_at is not None or self._reading_at is not None

    @property
    def oldest_at(self) -> int | None:
        """Time of the oldest version that is left, in µs, or None."""
        return min((at for at in (self._left_at, self._reading_at) if at is not None), default=None)

    def add(self, at: int) -> None:
        """Leave a version of this time, in µs."""
        self._left_at = at if self._left_at is None else min(at, self._left_at)
        self._some.set()

    async def wait(self) -> None:
        """Wait until something is left that is not being read."""
        await self._some.wait()

    def begin(self) -> None:
        """Begin to read everything that is left by now."""
        self._reading_at, self._left_at = self._left_at, None
        self._some.clear()

    def end(self) -> None:
        """All that was left when it began has been offered."""
        self._reading_at = None

    def give_up(self) -> None:
        """The reading has failed: all of it is still left."""
        if self._reading_at is not None:
            self.add(self._reading_at)
        self._reading_at = None


class WaitingMessages:
    """A queue of messages that are sent once each.

    Args:
        messages: How many may wait.
        size_bytes: The same, as the sum of their payloads.
    """

    def __init__(self, messages: int, size_bytes: int) -> None:
        self._messages = messages
        self._size_limit_bytes = size_bytes
        self._waiting: deque[Publication] = deque()
        self._size_bytes = 0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    @property
    def size_bytes(self) -> int:
        """Sum of the payloads that wait."""
        return self._size_bytes

    def add(self, publication: Publication) -> int:
        """Let a message wait; returns how many of the oldest had to go for it."""
        self._waiting.append(publication)
        self._size_bytes += len(publication.payload)
        dropped = 0
        while len(self._waiting) > self._messages or self._size_bytes > self._size_limit_bytes:
            self.take()
            dropped += 1
        return dropped

    def take(self) -> Publication:
        """Return the message that waits longest; it waits no more."""
        publication = self._waiting.popleft()
        self._size_bytes -= len(publication.payload)
        return publication
