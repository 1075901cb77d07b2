"""The measurement of what the history costs, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.history_cost import WritePath, main, share
from bridge.core.topics import TwinKey


def test_both_paths_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, and saved for programs; what they took depends on the machine."""
    saved = tmp_path / "history.json"
    assert main(["--devices", "5", "--batches", "10", "--json", str(saved)]) in (0, 1)
    assert "share of the history" in capsys.readouterr().out
    figures = json.loads(saved.read_text())
    assert all(figures[name]["wall"] > 0 for name in ("without", "with"))


def test_only_one_of_the_paths_keeps_a_history(tmp_path: Path) -> None:
    """Else nothing would be compared; the twins are the same in both."""
    kept = {}
    for history in (False, True):
        path = WritePath(tmp_path / f"{history}.db", devices=2, history=history)
        for _ in range(3):
            path.write()
        store = path.store
        key = TwinKey("station-00001")
        kept[history] = (len(store.history(key, None, 10)), store.load([key])[key].state)
        path.close()
    assert (kept[False][0], kept[True][0]) == (0, 3)
    assert kept[False][1] == kept[True][1]


def test_the_share_is_of_the_path_that_has_a_history() -> None:
    """A path that takes a third longer spends a quarter on it."""
    assert share(30.0, 40.0) == 0.25
