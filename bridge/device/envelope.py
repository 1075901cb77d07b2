"""What a session's messages are put into before they go out: nothing, or a seal."""

from __future__ import annotations

from typing import Final, Protocol

from bridge.device.events import OutgoingMessage
from bridge.device.kept import SealedReport


class Envelope(Protocol):
    """Closes what goes out, and opens what comes."""

    def report(self, topic: str, report: SealedReport) -> OutgoingMessage:
        """Return a report as it is published: for one report always the same bytes."""

    def close(self, message: OutgoingMessage) -> OutgoingMessage:
        """Return any other message as it is published."""

    def open(self, topic: str, payload: bytes) -> bytes:
        """Return the payload of a message that has arrived.

        Raises:
            UnreadableError: It is not what it claims to be.
        """


class Clear:
    """No envelope: every message goes as it is."""

    def report(self, topic: str, report: SealedReport) -> OutgoingMessage:
        """Return a report as it is published."""
        return OutgoingMessage(topic, report.payload)

    def close(self, message: OutgoingMessage) -> OutgoingMessage:
        """Return the message."""
        return message

    def open(self, _topic: str, payload: bytes) -> bytes:
        """Return the payload."""
        return payload


CLEAR: Final = Clear()
