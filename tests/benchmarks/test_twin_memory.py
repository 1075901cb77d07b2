"""What an ordinary twin takes, in the short form of the measurement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ordinary_twin import FIELDS, ordinary_twin
from benchmarks.twin_memory import (
    IDLE_AT_MOST,
    STORED_AT_MOST,
    WRITTEN_AT_MOST,
    main,
    measure,
)
from bridge.core.section import count_leaves


def test_an_ordinary_twin_takes_no_more_than_was_promised() -> None:
    """In the store and in memory; and the cache counts what there is, not less."""
    sizes = measure(100)
    assert sizes.stored <= STORED_AT_MOST * sizes.json
    assert sizes.idle <= IDLE_AT_MOST * sizes.json
    assert sizes.written <= WRITTEN_AT_MOST * sizes.json
    assert sizes.idle <= sizes.idle_estimate <= 1.5 * sizes.idle
    assert sizes.written <= sizes.written_estimate <= 1.5 * sizes.written


def test_the_ordinary_twin_is_what_it_says() -> None:
    """Twenty fields, written by messages of several kinds, with something outstanding."""
    twin = ordinary_twin()
    sections = (twin.reported, twin.desired)
    assert sum(count_leaves(section.value) for section in sections) == FIELDS
    messages = {register[:4] for section in sections for register in section.registers()}
    assert len(messages) == 6
    assert twin.delta()


def test_figures_are_printed_and_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As ratios for people, in bytes for programs."""
    saved = tmp_path / "memory.json"
    assert main(["--twins", "100", "--json", str(saved)]) == 0
    figures = json.loads(saved.read_text())
    assert 0 < figures["json"] < figures["stored"] < figures["idle"] < figures["written"]
    assert "in memory, being written" in capsys.readouterr().out
