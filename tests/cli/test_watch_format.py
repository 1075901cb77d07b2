"""A change as a line, and as JSON."""

from __future__ import annotations

from bridge.cli.observed import Change, Observed
from bridge.cli.watch_format import assignments, change_object, change_spans
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.device.events import Twin

_KEY = TwinKey("lamp-1", "net")
_AT = 1_795_389_192_794_000


def _change(before: Twin | None, after: Twin | None, previous: int | None = None) -> Change:
    version = after.version if after else None
    return Change(
        Observed(_KEY, "state", after, None, version, _AT if after else None), before, previous
    )


def _line(change: Change, *, for_terminal: bool = False) -> str:
    return " ".join(span.text for span in change_spans(change, for_terminal=for_terminal))


def test_a_line_names_what_is_different() -> None:
    """With the new values; what went is null, as one would set it."""
    before = Twin(3, {"on": True, "color": {"r": 1, "g": 2}, "x": 1}, {}, None, _AT)
    after = Twin(4, {"on": True, "color": {"r": 1, "g": 3}}, {"a.b": "c"}, True, _AT)
    assert _line(_change(before, after, 3)) == (
        "2026-11-22T23:13:12.794Z lamp-1/net v4 online "
        'reported.color.g=3 reported.x=null desired."a.b"="c"'
    )


def test_a_terminal_is_shown_what_was_there() -> None:
    """Beside what is."""
    before = Twin(3, {"on": True}, {}, True, _AT)
    after = Twin(4, {"on": False}, {}, False, _AT)
    line = _line(_change(before, after, 3), for_terminal=True)
    assert line.endswith("lamp-1/net v4 offline reported.on=false (was true)")


def test_the_first_line_has_the_whole() -> None:
    """And an empty object is a value."""
    line = _line(_change(None, Twin(1, {"a": {}, "b": [1, 2]}, {}, None, _AT)))
    assert line.endswith("v1 reported.a={} reported.b=[1,2]")


def test_a_deletion_is_said() -> None:
    """It has neither a version nor a time: the topic is cleared."""
    assert _line(_change(Twin(3, {}, {}, None, _AT), None, 3)) == "lamp-1/net deleted"


def test_a_delta_is_shown_whole() -> None:
    """It is what is outstanding, not what has changed."""
    delta: JsonObject = {"on": True, "color": {"r": 1}}
    change = Change(Observed(_KEY, "delta", None, delta, 4, _AT), None, None)
    assert _line(change).endswith("lamp-1/net v4 delta on=true color.r=1")
    cleared = Change(Observed(_KEY, "delta", None, {}, None, None), None, 4)
    assert _line(cleared) == "lamp-1/net delta cleared"


def test_a_line_stays_one_line_and_harmless() -> None:
    """Keys and values are a device's choice."""
    twin = Twin(1, {"a\nb": "\x1b[2J\r\u202e"}, {}, None, _AT)
    assert _line(_change(None, twin)).endswith(r'reported.a\nb="\u001b[2J\r\u202e"')


def test_the_json_of_a_state_is_stable() -> None:
    """Documented in the manual, in this order."""
    change = _change(None, Twin(4, {"on": True}, {"on": False}, None, _AT))
    assert list(change_object(change).items()) == [
        ("event", "state"),
        ("device", "lamp-1"),
        ("name", "net"),
        ("previous_version", None),
        ("version", 4),
        ("at", _AT),
        ("reported", {"on": True}),
        ("desired", {"on": False}),
        ("online", None),
    ]


def test_the_json_of_deltas_and_deletions_is_stable() -> None:
    """A cleared topic has no version of its own."""
    deleted = change_object(_change(Twin(3, {}, {}, None, _AT), None, 3))
    assert deleted == {
        "event": "deleted",
        "device": "lamp-1",
        "name": "net",
        "previous_version": 3,
        "version": None,
        "at": None,
    }
    cleared = Change(Observed(_KEY, "delta", None, {}, None, None), None, 4)
    assert change_object(cleared) == {
        "event": "delta",
        "device": "lamp-1",
        "name": "net",
        "previous_version": 4,
        "version": None,
        "at": None,
        "delta": {},
    }


def test_assignments_show_every_value() -> None:
    """In one line."""
    assert assignments({"a": {"b": 1, "c": {}}, "d": "x"}) == 'a.b=1 a.c={} d="x"'
