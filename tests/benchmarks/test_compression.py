"""The measurement of what compression saves, in its short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compression import main

SIZE_PERCENT = {"150 bytes": 50, "without the text that fills them": 60}
"""What a dictionary is to bring a patch to, at most; the other is not in the aims."""


def test_a_dictionary_halves_a_small_patch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed, and saved for programs; without a dictionary it is not even a quarter smaller."""
    saved = tmp_path / "compression.json"
    assert main(["--rounds", "1", "--json", str(saved)]) == 0
    found = json.loads(saved.read_text())
    printed = capsys.readouterr().out
    for title, figures in found.items():
        assert title in printed
        assert figures["none"]["percent"] == 100
        assert figures["dictionary"]["percent"] <= SIZE_PERCENT[title], title
        assert figures["dictionary"]["percent"] < 0.7 * figures["zstd"]["percent"], title
        assert all(row["pack_us"] > 0 and row["take_us"] > 0 for row in figures.values())
    assert found["150 bytes"]["none"]["size_bytes"] == 150
