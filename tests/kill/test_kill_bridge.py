"""The bridge killed under load, in a short form, and faults that its checker has to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kill_bridge import Plan, run_plan
from benchmarks.report import Report

SHORT = {"kills": 3, "rate_per_s": 500, "devices": 20, "interval_s": 1.5, "convergence_s": 30.0}


async def run_short(directory: Path, **changed: object) -> Report:
    """Run the script's own code, for a few seconds."""
    return await run_plan(Plan(**{**SHORT, **changed}), directory)  # type: ignore[arg-type]


async def test_no_acknowledged_update_is_lost_when_the_bridge_is_killed(tmp_path: Path) -> None:
    """Through SIGKILLs under load nothing is lost, nothing goes back, the broker has the store."""
    report = await run_short(tmp_path)
    assert report.violations == []
    assert report.figures["kills"] == 3
    assert report.figures["updates acknowledged"] == report.figures["updates sent"]


async def test_an_update_that_never_arrived_is_found(tmp_path: Path) -> None:
    """One message that is counted as acknowledged, and was not sent, is named."""
    report = await run_short(tmp_path, kills=2, plant="drop-one")
    assert any("are lost: the history does not have them" in line for line in report.violations)


async def test_a_state_that_goes_back_is_found(tmp_path: Path) -> None:
    """An overtaken state that somebody publishes again is named."""
    report = await run_short(tmp_path, kills=2, plant="stale-state")
    assert any("the state went back from version" in line for line in report.violations)


async def test_a_bridge_that_ends_by_itself_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge that cannot start fails the run, with what it said."""
    monkeypatch.setenv("SYNCBRIDGE_BROKER_KEEPALIVE_S", "none")
    report = await run_short(tmp_path)
    assert any("keepalive_s" in line for line in report.violations)
