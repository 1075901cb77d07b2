"""Publishes that wait for their PUBACK, over as many connections as the session lives."""

from __future__ import annotations

from typing import NamedTuple

from bridge.errors import LinkError, LinkLost, PublishRefused, PublishWindowFull
from bridge.link.base import MAXIMUM_PACKET_IDS, Answered, Publication

PUBLISH_OVERHEAD_BYTES = 24
"""Most that a PUBLISH has beside topic, payload and the contents of its properties.

Fixed header 5, topic length 2, packet id 2, length of properties 4, two properties 3 each, and
some to spare.
"""


class InFlight(NamedTuple):
    """A publish that was sent. A tuple, because there is one for every twin that is published."""

    publication: Publication
    answered: Answered


class PublishWindow:
    """The publishes in flight, and the packet ids that they use.

    Args:
        limit: How many there may be.

    Attributes:
        size: The smaller of our limit and the present broker's receive maximum.
    """

    def __init__(self, limit: int) -> None:
        self.size = limit
        self._limit = limit
        self._in_flight: dict[int, InFlight] = {}
        self._last_packet_id = 0

    @property
    def slots(self) -> int:
        """How many more fit."""
        return max(0, self.size - len(self._in_flight))

    def limit_to(self, receive_maximum: int) -> None:
        """Keep to what the broker of a new connection takes."""
        self.size = min(self._limit, receive_maximum)

    def require_slot(self) -> None:
        """Raise `PublishWindowFull` where nothing more fits."""
        if len(self._in_flight) >= self.size:
            raise PublishWindowFull(
                f"{self.size} publishes wait for the broker's acknowledgement",
                hint="wait for one of them; publish_slots says how many more may be sent",
            )

    def next_packet_id(self) -> int:
        """Return a packet id that no publish in flight has."""
        packet_id = self._last_packet_id
        while True:
            packet_id = packet_id % MAXIMUM_PACKET_IDS + 1
            if packet_id not in self._in_flight:
                self._last_packet_id = packet_id
                return packet_id

    def add(self, packet_id: int, publication: Publication, answered: Answered) -> None:
        """Remember a publish that was sent."""
        self._in_flight[packet_id] = InFlight(publication, answered)

    def packet_ids(self) -> list[int]:
        """Return the packet ids in flight, in the order in which they were first sent."""
        return list(self._in_flight)

    def publication(self, packet_id: int) -> Publication | None:
        """Return what is in flight with a packet id, or None."""
        in_flight = self._in_flight.get(packet_id)
        return None if in_flight is None else in_flight.publication

    def acknowledged(self, packet_id: int, failure: str | None) -> bool:
        """Tell the sender of a publish what became of it.

        Args:
            packet_id: Its packet id; an unknown one is ignored.
            failure: The broker's reason, where it refused the publish.

        Returns:
            Whether there was such a publish.
        """
        in_flight = self._in_flight.pop(packet_id, None)
        if in_flight is None:
            return False
        publication, answered = in_flight
        answered(None if failure is None else PublishRefused(publication.topic, failure))
        return True

    def answer(self, packet_id: int, error: LinkError) -> None:
        """Tell the sender of a publish in flight that it was not sent again, and why."""
        self._in_flight.pop(packet_id).answered(error)

    def fail_all(self, error: LinkError) -> None:
        """Tell all senders that it will not be known what became of their publishes."""
        lost = LinkLost(error.message, hint=error.hint)
        in_flight, self._in_flight = self._in_flight, {}
        for _, answered in in_flight.values():
            answered(lost)


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
