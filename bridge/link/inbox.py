"""What has arrived and was not taken yet."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from bridge.errors import LinkError
from bridge.link.base import MAXIMUM_PACKET_IDS, Backlog, Message

WAITING_QOS1_MAXIMUM = MAXIMUM_PACKET_IDS
"""Messages of QoS 1 that may wait.

Not the receive maximum: Mosquitto before 2.0.13 sends more than it was allowed to, and a
connection that is dropped for that is no better when it comes back. With MQTT 3.1.1 there is no
other bound than the number of packet ids.
"""

FULL_AT_RECEIVE_MAXIMA = 2
"""Receive maxima that may wait before nothing more is read. A broker that keeps to what it was
allowed never comes so far; for another, TCP holds back what there is no room for."""

RESERVE_QOS1_MAXIMUM = WAITING_QOS1_MAXIMUM * 3 // 4
"""Messages of QoS 1 up to which a full inbox takes more, where its owner cannot but read on. What
one read brings fits above it."""

WAITING_BYTES_MAXIMUM = 256 * 1024 * 1024
"""Bytes that may wait, topics and what else devices can make long included. Nothing more is read
from half of it on, but for a little now and then; a broker that fills it all the same is left."""


class Inbox:
    """A bounded queue of messages, in order of arrival, for one reader.

    Args:
        qos0_maximum: Messages of QoS 0 that may wait; further ones are dropped.
        receive_maximum: Messages of QoS 1 that the broker may send unacknowledged.
        bytes_maximum: Bytes that may wait.

    Attributes:
        dropped_qos0: How many were dropped.
        taken: How many messages were taken in all.
        on_room: Called when what was full has room again.
    """

    def __init__(
        self,
        qos0_maximum: int,
        receive_maximum: int = WAITING_QOS1_MAXIMUM,
        bytes_maximum: int = WAITING_BYTES_MAXIMUM,
    ) -> None:
        self.dropped_qos0 = 0
        self.taken = 0
        self.on_room: Callable[[], None] | None = None
        self._full_at = FULL_AT_RECEIVE_MAXIMA * receive_maximum
        self._qos0_maximum = qos0_maximum
        self._bytes_maximum = bytes_maximum
        self._waiting: deque[Message] = deque()
        self._waiting_qos0 = 0
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._waited_s = 0.0
        self._arrived = asyncio.Event()
        self._error: LinkError | None = None

    @property
    def is_full(self) -> bool:
        """So much waits that nothing more should be read until some is taken."""
        return (
            len(self._waiting) - self._waiting_qos0 >= self._full_at
            or FULL_AT_RECEIVE_MAXIMA * self._waiting_bytes >= self._bytes_maximum
        )

    @property
    def has_reserve(self) -> bool:
        """Although it may be full, more can be read: for what stands behind it."""
        return (
            len(self._waiting) - self._waiting_qos0 < RESERVE_QOS1_MAXIMUM
            and FULL_AT_RECEIVE_MAXIMA * self._waiting_bytes < self._bytes_maximum
        )

    def put(self, message: Message) -> bool:
        """Add a message, or drop and count it if it is of QoS 0 and too much waits.

        Returns:
            False if a message of QoS 1 found no room. It was not added, and the connection must
            end, because nothing can be acknowledged past it.
        """
        size_bytes = _size_bytes(message)
        # However large, a message is taken where none waits: it could never come otherwise.
        too_large = (
            self._waiting_bytes + size_bytes > self._bytes_maximum and len(self._waiting) > 0
        )
        if message.qos == 0:
            if too_large or self._waiting_qos0 >= self._qos0_maximum:
                self.dropped_qos0 += 1
                return True
            self._waiting_qos0 += 1
        elif too_large or len(self._waiting) - self._waiting_qos0 >= WAITING_QOS1_MAXIMUM:
            return False
        if not self._waiting:
            self._waiting_since = time.perf_counter()
        self._waiting_bytes += size_bytes
        self._waiting.append(message)
        self._arrived.set()
        return True

    async def take(self, max_messages: int, max_bytes: int) -> list[Message]:
        """Wait for a message and take what is there; see `bridge.link.base.Link.receive`."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        waiting, was_full = self._waiting, self.is_full
        taken = [waiting.popleft()]
        taken_bytes = len(taken[0].payload)
        while waiting and len(taken) < max_messages:
            taken_bytes += len(waiting[0].payload)
            if taken_bytes > max_bytes:
                taken_bytes -= len(waiting[0].payload)
                break
            taken.append(waiting.popleft())
        self.taken += len(taken)
        now = time.perf_counter()
        self._waited_s, self._waiting_since = now - self._waiting_since, now
        self._waiting_bytes -= sum(map(_size_bytes, taken))
        if self._waiting_qos0:
            self._waiting_qos0 -= sum(message.qos == 0 for message in taken)
        if was_full and not self.is_full and self.on_room is not None:
            self.on_room()
        return taken

    def discard_unacknowledged(self) -> None:
        """Remove what the broker delivers again on its next connection: all but QoS 0."""
        kept = [message for message in self._waiting if message.qos == 0]
        self._waiting = deque(kept)
        self._waiting_bytes = sum(map(_size_bytes, kept))

    @property
    def backlog(self) -> Backlog:
        """What waits now, and how long the first of what was taken last had waited."""
        return Backlog(len(self._waiting), self._waiting_bytes, self._waited_s)

    def describe(self) -> str:
        """Return what waits, in words."""
        return f"{len(self._waiting)} messages of {self._waiting_bytes} bytes"

    def close(self, error: LinkError) -> None:
        """Let `take` raise `error` once nothing waits any more. The first error counts."""
        if self._error is None:
            self._error = error
        self._arrived.set()


def _size_bytes(message: Message) -> int:
    """Return about how much a message keeps in memory."""
    size_bytes = len(message.payload) + len(message.topic)
    if message.response_topic is not None:
        size_bytes += len(message.response_topic)
    if message.correlation_data is not None:
        size_bytes += len(message.correlation_data)
    return size_bytes
