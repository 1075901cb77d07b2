"""The benchmark suite, in its quick form: it runs, and checks what it measures."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import suite, workloads
from benchmarks.rows import GROUPS, ROWS


def run(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    """Run the suite in its quick form; returns its status and what it saved."""
    file, chart = tmp_path / "results" / "results.json", tmp_path / "results" / "chart.svg"
    saved = ["--json", str(file), "--chart", str(chart), "--directory", str(tmp_path)]
    status = suite.main(["--quick", *saved, *arguments])
    ElementTree.fromstring(chart.read_text(encoding="utf-8"))  # noqa: S314
    document: dict[str, object] = json.loads(file.read_text())
    return status, document


def test_every_row_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a value, and a reference where it is held against one; no state was wrong."""
    status, saved = run(tmp_path)
    assert saved["wrong"] == []
    assert status == 0
    rows = saved["rows"]
    assert isinstance(rows, list)
    assert len(rows) == len(ROWS)
    for row in rows:
        assert row["value"] is not None
        assert (row["ratio"] is None) == (row["row"]["reference"] is None)
    printed = capsys.readouterr().out
    assert "| saturated, 10 devices |" in printed
    assert "not measured" not in printed


def test_rows_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else is measured."""
    status, saved = run(tmp_path, "--rows", "idle")
    assert status == 0
    runs = saved["runs"]
    assert isinstance(runs, list)
    assert [(entry["workload"], entry["peer"]) for entry in runs] == [("idle", "bridge")]
    with pytest.raises(SystemExit):
        suite.main(["--rows", "closde"])
    assert GROUPS[0] in capsys.readouterr().err


def test_a_lost_update_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run ends without figures, and the suite with 1; other rows would be there still."""
    monkeypatch.setattr(workloads, "BROKER_SETTINGS", "max_queued_messages 1\npersistence false")
    monkeypatch.setattr("benchmarks.phases.STALL_TIMEOUT_S", 1.0)
    status, saved = run(tmp_path, "--rows", "many")
    assert status == 1
    assert "never showed update" in capsys.readouterr().err
    rows = saved["rows"]
    assert isinstance(rows, list)
    assert rows[0]["value"] is None
    assert not rows[0]["holds"]


def test_the_bridge_runs_under_the_profiler(capsys: pytest.CaptureFixture[str]) -> None:
    """It works like any other, and the functions of its main thread are listed."""
    assert suite.main(["--quick", "--profile", "many"]) == 0
    printed = capsys.readouterr().out
    assert "Thread main:" in printed
    assert "function calls" in printed
