"""The measurement of connections on which nothing is asked, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.idle_connections import BEYOND, Course, judge, main
from benchmarks.report import Report


def test_who_is_in_is_served_and_who_is_too_many_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three hundred of them."""
    saved = tmp_path / "found.json"
    assert main(["--connections", "300", "--json", str(saved)]) == 0, capsys.readouterr().err
    figures = json.loads(saved.read_text())
    assert figures["connections"] == 300
    assert figures["MQTT answered in (ms)"] > 0


def test_who_had_no_place_is_found() -> None:
    """As is who was not told that there are too many."""
    report = Report()
    judge(Course(10, 9, BEYOND - 1, 1.0, [0.1], 1.0, 1.0), report)
    assert report.violations == ["only 9 of 10 had a place", "1 beyond the limit were not told so"]
