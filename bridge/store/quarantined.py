"""What the quarantine keeps of a message, and how some of them are chosen."""

from __future__ import annotations

from typing import NamedTuple


class QuarantinedMessage(NamedTuple):
    """A message that was refused where no reply could be sent, kept for the operator.

    Attributes:
        at: When it was refused, in µs since the epoch.
        topic: Where it came from.
        payload: The beginning of its payload, as much of it as is kept.
        code: As HTTP's status codes.
        error: The short name of the reason.
        message: What was wrong.
        size_bytes: Of the whole payload.
        device: The device in its topic; empty where the topic is none of ours.
        writer: Who sent it, as its topic says; empty likewise.
        withheld: Why nothing of the payload is kept: `sealed`, `secret`, or empty.
        id: Its place in the quarantine, given by the store; higher is newer.
    """

    at: int
    topic: str
    payload: bytes
    code: int
    error: str
    message: str
    size_bytes: int = 0
    device: str = ""
    writer: str = ""
    withheld: str = ""
    id: int = 0


class QuarantineFilter(NamedTuple):
    """Which quarantined messages are meant: those to which all that is given applies.

    Attributes:
        device: Of this device.
        error: Refused for this reason, by its short name.
        since: Refused at this time or later, in µs since the epoch.
        until: Refused before this time.
    """

    device: str | None = None
    error: str | None = None
    since: int | None = None
    until: int | None = None


EVERYTHING = QuarantineFilter()
"""All messages."""
