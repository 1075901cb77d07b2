"""Versions and times as they are written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from bridge.api.points import VERSIONS_END, parse_point, point_text, time_text
from bridge.core.timeline import Point

TEN = 1_795_600_800_000_000
"""2026-11-25T10:00:00Z."""


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine nine hours ahead of UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("0", Point("version", 0)),
        ("14", Point("version", 14)),
        ("0014", Point("version", 14)),
        ("1048590", Point("version", 2**20 + 14)),
        (str(VERSIONS_END - 1), Point("version", VERSIONS_END - 1)),
        (str(VERSIONS_END), Point("time", VERSIONS_END)),
        (str(TEN), Point("time", TEN)),
        ("2026-11-25T10:00:00Z", Point("time", TEN)),
        ("2026-11-25t10:00:00z", Point("time", TEN)),
        ("2026-11-25T10:00:00.000001Z", Point("time", TEN + 1)),
        ("2026-11-25T11:30:00+01:30", Point("time", TEN)),
        ("2026-11-25 10:00:00+00:00", Point("time", TEN)),
        ("1969-12-31T23:59:59Z", Point("time", -1_000_000)),
    ],
)
def test_versions_and_times_are_told_apart(text: str, point: Point) -> None:
    """An integer that no twin reaches is a time in µs."""
    assert parse_point(text, local=False) == point
    assert parse_point(text, local=True) == point


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize("text", ["2026-11-25T19:00", "2026-11-25 19:00:00", "20261125T190000"])
def test_a_time_without_a_zone_is_this_machines(text: str) -> None:
    """Where a person types it; in a request the zone must be there."""
    assert parse_point(text, local=True) == Point("time", TEN)
    with pytest.raises(ValueError, match="has no zone"):
        parse_point(text, local=False)


@pytest.mark.parametrize(
    "text",
    [
        "", "-1", "1.5", "v14", "yesterday", "²", "١٤", "2026-13-01", "2026-11-25T25:00Z", "1e3",
        "10:00", "0001-01-01T00:00:00", "9" * 17, str(2**53 + 1), "9" * 10_000, "x" * 10_000,
        "2026-11-25T10:00:00Z; rm", "\x1b[2J",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """With a message that is short, whatever was typed."""
    with pytest.raises(ValueError, match=r"version|zone") as caught:
        parse_point(text, local=False)
    assert len(str(caught.value)) < 200


def test_a_point_is_said_in_words() -> None:
    """A time as RFC 3339 in UTC, to the µs, so that it can be typed again."""
    assert point_text(Point("version", 14)) == "version 14"
    assert point_text(Point("time", TEN + 1)) == "2026-11-25T10:00:00.000001Z"
    assert parse_point(time_text(TEN + 1), local=False) == Point("time", TEN + 1)
    assert datetime.fromisoformat(time_text(-1)).timestamp() == pytest.approx(-1e-6)
    assert time_text(2**62) == f"{2**62} µs"
