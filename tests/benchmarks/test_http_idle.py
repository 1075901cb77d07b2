"""The measurement of an HTTP API that nobody uses, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.http_idle import Burst, judge, main
from benchmarks.report import Report


def test_both_bridges_take_every_burst(tmp_path: Path) -> None:
    """Or the measurement waits for answers until it fails."""
    saved = tmp_path / "found.json"
    assert main(["--rounds", "1", "--burst", "400", "--json", str(saved)]) == 0
    figures = json.loads(saved.read_text())
    assert figures["updates/s with HTTP"] > 0
    assert figures["updates/s without"] > 0


def test_rounds_are_compared_one_by_one() -> None:
    """A machine that becomes slower concerns both."""
    report = Report()
    judge([(Burst(90, 20), Burst(100, 10)), (Burst(9, 20), Burst(10, 10))], report)
    assert report.figures["ratio of rates"] == "0.90 (aim: 0.97)"
    assert report.figures["ratio of CPU"] == "2.00"
