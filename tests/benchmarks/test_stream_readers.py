"""The measurement of the WebSocket's readers, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import Report
from benchmarks.stream_readers import Course, Reader, judge, main


def test_every_reader_is_told_of_every_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the measurement ends with an error."""
    saved = tmp_path / "found.json"
    plan = ["--readers", "100", "--devices", "20", "--rate", "50", "--seconds", "2"]
    assert main([*plan, "--json", str(saved)]) == 0, capsys.readouterr().err
    figures = json.loads(saved.read_text())
    assert figures["violations"] == []
    assert figures["readers"] == 100
    assert figures["changes read"] > 0


def test_what_a_reader_has_missed_is_found() -> None:
    """The last change, one in between, one told twice, and the end of its connection."""
    latencies: list[float] = [0.1]
    readers = [Reader("d", latencies) for _ in range(3)]
    for reader, number, versions in zip(readers, (2, 1, 2), ([1, 2], [1], [2, 2]), strict=True):
        reader.number, reader.versions = number, versions
    report = Report()
    judge(Course({"d": 2}, 1.0, latencies, [0.1], readers, [1.0, 200.0], 0.5), report)
    found = "\n".join(report.violations)
    for part in ("report 1, not 2", "twice", "other versions", "was closed", "memory grew"):
        assert part in found
