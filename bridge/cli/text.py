"""Values as text and text as values; nothing here writes to the terminal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import click

from bridge.core.section import JsonValue

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?\Z", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MICROSECONDS_PER_SECOND = 1_000_000

DURATION_MAX_S = 365 * _UNIT_S["d"]
"""Longest duration: beyond a year somebody has mistaken the unit."""


def printable(text: str) -> str:
    r"""Escape what is not printable as \uXXXX, line ends too.

    What a device sends must not move the cursor, turn the text around or forge a line. In JSON
    these escapes mean the same characters, so that the text of a document stays a document.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    # JSON has no need to escape DEL, but terminals act on it.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def compact_json(value: JsonValue) -> str:
    """Return a value as JSON in one line, safe to print."""
    return printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def indented_json(value: JsonValue) -> str:
    """Return a value as JSON over several lines, safe to print."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "\n".join(printable(line) for line in text.split("\n"))


def iso_time(at_us: int) -> str:
    """Return a time, in µs since the epoch, as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(at_us / _MICROSECONDS_PER_SECOND, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(at_us: int) -> str:
    """Return a time, in µs since the epoch, as the local time of day."""
    return datetime.fromtimestamp(at_us / _MICROSECONDS_PER_SECOND).astimezone().strftime("%X")


def local_time(at_us: int) -> str:
    """Return a time, in µs since the epoch, as the local date and time with milliseconds."""
    moment = datetime.fromtimestamp(at_us / _MICROSECONDS_PER_SECOND).astimezone()
    return moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


def age_text(seconds: float) -> str:
    """Return an age as people say it, in its largest whole unit: `3 min`."""
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length_s:
            return f"{int(seconds // length_s)} {unit}"
    return f"{max(0, int(seconds))} s"


class Duration(click.ParamType[float]):
    """A duration such as `500ms`, `30s`, `10m`, `2h`; without a unit in seconds."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the duration in seconds."""
        if isinstance(value, float | int):
            return float(value)
        match = _DURATION.match(value.strip())
        seconds = float(match[1]) * _UNIT_S[match[2] or "s"] if match else 0.0
        if not 0 < seconds <= DURATION_MAX_S:
            self.fail(f"{value!r} is not a duration such as 500ms, 30s, 10m or 2h", param, ctx)
        return seconds


DURATION = Duration()
