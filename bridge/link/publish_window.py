"""Publishes that wait for their PUBACK."""

from __future__ import annotations

import asyncio

from bridge.errors import LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import Publication

PUBLISH_OVERHEAD_BYTES = 24
"""Most that a PUBLISH has beside topic, payload and the contents of its properties.

Fixed header 5, topic length 2, packet id 2, length of properties 4, two properties 3 each, and
some to spare.
"""


class PublishWindow:
    """The futures of the publishes in flight, at most `size` of them.

    Args:
        size: The smaller of our limit and the broker's receive maximum.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: dict[int, tuple[asyncio.Future[None], str]] = {}

    @property
    def slots(self) -> int:
        """How many more fit."""
        return self._size - len(self._waiting)

    def require_slot(self) -> None:
        """Raise `PublishWindowFull` where nothing more fits."""
        if len(self._waiting) >= self._size:
            raise PublishWindowFull(
                f"{self._size} publishes wait for the broker's acknowledgement",
                hint="wait for one of them; publish_slots says how many more may be sent",
            )

    def add(self, packet_id: int, topic: str, future: asyncio.Future[None]) -> None:
        """Remember a publish that was sent."""
        self._waiting[packet_id] = (future, topic)

    def acknowledged(self, packet_id: int, failure: str | None) -> None:
        """Complete the future of a publish.

        Args:
            packet_id: Its packet id; an unknown one is ignored.
            failure: The broker's reason, where it refused the publish.
        """
        future, topic = self._waiting.pop(packet_id, (None, ""))
        if future is None or future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(PublishRefused(topic, failure))

    def fail_all(self, error: LinkLost) -> None:
        """Fail what waits, because the connection ended."""
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(error)
                # The listener is told of the loss in any case: a caller that does not look at
                # this future misses nothing, and asyncio need not complain.
                future.exception()
        self._waiting.clear()


def too_large(publication: Publication, maximum_bytes: int | None) -> PublishRefused | None:
    """Return a refusal where the broker would close the connection for this publish.

    It would do so each time again (MQTT 5 section 3.2.2.3.6).

    Args:
        publication: What is to be sent.
        maximum_bytes: Largest packet that the broker takes, if it said so.
    """
    if maximum_bytes is None:
        return None
    size_bytes = (
        len(publication.payload)
        + len(publication.topic.encode())
        + len((publication.content_type or "").encode())
        + len(publication.correlation_data or b"")
        + PUBLISH_OVERHEAD_BYTES
    )
    if size_bytes <= maximum_bytes:
        return None
    return PublishRefused(
        publication.topic,
        f"a packet of up to {size_bytes} bytes, and the broker takes {maximum_bytes}",
        hint="raise the broker's maximum packet size",
    )
