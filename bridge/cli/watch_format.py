"""A change as one line: for people, with colours on a terminal, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.cli.observed import Change
from bridge.cli.paths import Path, path_text
from bridge.cli.spans import SECTION_STYLES, Span, leaves
from bridge.cli.text import clock_time, compact_json, iso_time, printable
from bridge.core.difference import difference
from bridge.core.section import JsonObject, JsonValue
from bridge.device.events import Twin

_NOTHING: JsonObject = {}


def change_object(change: Change) -> JsonObject:
    """Return a change as the JSON object that `--json` prints."""
    observed = change.observed
    document: JsonObject = {
        "event": "deleted" if observed.verb == "state" and not observed.twin else observed.verb,
        "device": observed.key.device,
        "name": observed.key.name,
        "previous_version": change.previous_version,
        "version": observed.version,
        "at": observed.at,
    }
    if observed.twin is not None:
        document["reported"] = observed.twin.reported
        document["desired"] = observed.twin.desired
        document["online"] = observed.twin.online
    if observed.delta is not None:
        document["delta"] = observed.delta
    return document


def change_spans(change: Change, *, for_terminal: bool) -> list[Span]:
    """Return a change as the pieces of one line.

    Args:
        change: What has changed.
        for_terminal: Show the local time of day and former values, not the date.
    """
    observed = change.observed
    spans = []
    if observed.at is not None:
        time = clock_time(observed.at) if for_terminal else iso_time(observed.at)
        spans.append(Span(time, "dim"))
    spans.append(Span(str(observed.key), "bold cyan"))
    if observed.version is not None:
        spans.append(Span(f"v{observed.version}", "dim"))
    return [*spans, *_what(change, for_terminal=for_terminal)]


def _what(change: Change, *, for_terminal: bool) -> Iterator[Span]:
    observed = change.observed
    if observed.delta is not None:
        if not observed.delta:
            yield Span("delta cleared", "blue")
            return
        yield Span("delta", "bold blue")
        for path, value in leaves(observed.delta):
            yield Span(_assignment(path, value), "blue")
    elif observed.twin is None:
        yield Span("deleted", "bold red")
    else:
        yield from _state_spans(change.before, observed.twin, for_terminal=for_terminal)


def _state_spans(before: Twin | None, after: Twin, *, for_terminal: bool) -> Iterator[Span]:
    if after.online is not None and (before is None or before.online != after.online):
        yield Span("online", "bold green") if after.online else Span("offline", "bold red")
    for section, style in SECTION_STYLES.items():
        old: JsonObject = getattr(before, section, _NOTHING)
        new: JsonObject = getattr(after, section)
        forward, backward = difference(old, new)
        former = dict(leaves(backward)) if for_terminal else {}
        for path, value in leaves(forward):
            yield Span(_assignment((section, *path), value), "red" if value is None else style)
            if former.get(path) is not None:
                yield Span(f"(was {compact_json(former[path])})", "dim")


def assignments(document: JsonObject) -> str:
    """Return all values of a document in one line, as `color.r=255 on=true`."""
    return " ".join(_assignment(path, value) for path, value in leaves(document))


def _assignment(path: Path, value: JsonValue) -> str:
    """Return what `syncbridge set` would be told, all in one word where the values allow it."""
    return f"{printable(path_text(path))}={compact_json(value)}"
