"""Versions and times as they are written in requests and on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.core.limits import TIME_MAX
from bridge.core.timeline import Point

VERSIONS_END = 10**15
"""From here on an integer is a time: no twin comes so far, and in µs it was the year 2001."""

_MICROSECONDS_PER_SECOND = 1_000_000
_TEXT_CHARACTERS = 64


def parse_point(text: str, *, local: bool) -> Point:
    """Read a version or a time.

    Args:
        text: A version; a time in µs since the epoch; or a date and time of ISO 8601, as RFC 3339
            writes it.
        local: A time without a zone is this machine's. Otherwise it is refused.

    Raises:
        ValueError: It is neither; the message says what can be written.
    """
    if text.isascii() and text.isdecimal() and len(text) <= _TEXT_CHARACTERS:
        number = int(text)
        if number > TIME_MAX:
            raise ValueError(f"{text} is beyond all versions and times")
        return Point("version" if number < VERSIONS_END else "time", number)
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None and local:
            moment = moment.astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"{text[:_TEXT_CHARACTERS]!r} is neither a version nor a time such as "
            "2026-11-25T10:00:00Z"
        ) from error
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no zone, such as Z or +01:00")
    since_epoch = moment - datetime.fromtimestamp(0, UTC)
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    return Point("time", seconds * _MICROSECONDS_PER_SECOND + since_epoch.microseconds)


def point_text(point: Point) -> str:
    """Return a point for people: `version 14`, or the time as RFC 3339."""
    return f"version {point.number}" if point.kind == "version" else time_text(point.number)


def time_text(at_us: int) -> str:
    """Return a time, in µs since the epoch, as RFC 3339 in UTC with µs."""
    try:
        seconds, rest_us = divmod(at_us, _MICROSECONDS_PER_SECOND)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_us)
    except (ValueError, OverflowError, OSError):
        return f"{at_us} µs"
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
