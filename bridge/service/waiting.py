"""What waits for the broker. Messages that do are bounded: the oldest go first."""

from __future__ import annotations

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
