"""The measurement of queries, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.query_cost import PAGE, cases, main

TWINS = 2000


def test_every_query_is_measured_beside_sqlite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both find the same, or it would have ended with an error; how long they take depends."""
    saved = tmp_path / "query.json"
    assert main(["--twins", str(TWINS), "--rounds", "2", "--json", str(saved)]) in (0, 1)
    printed = capsys.readouterr().out
    figures = json.loads(saved.read_text())
    for case in cases(TWINS):
        assert case.name in printed
        assert figures[case.name]["ours"] > 0
        assert figures[case.name]["sqlite"] > 0
    assert [figures[case.name]["rows"] for case in cases(TWINS)] == [1, 2, PAGE, PAGE, 1]
