"""The broker killed under load, in a short form: whatever it comes back with is repaired."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill_broker import Plan, Scenario, run_plan
from benchmarks.report import Report


async def run_short(directory: Path, scenario: Scenario) -> Report:
    """Run the script's own code, for a few seconds."""
    plan = Plan(scenario, kills=1, devices=10, interval_s=1.0, convergence_s=30.0)
    return await run_plan(plan, directory)


async def test_an_empty_broker_gets_all_retained_topics_back(tmp_path: Path) -> None:
    """States and deltas of devices that are silent come back; what is deleted does not."""
    report = await run_short(tmp_path, "empty")
    assert report.violations == []
    assert report.figures["stale states served"] == 0


async def test_a_broker_from_an_older_snapshot_is_brought_up_to_date(tmp_path: Path) -> None:
    """Older states are replaced, and deltas and twins that are gone are cleared again."""
    report = await run_short(tmp_path, "snapshot")
    assert report.violations == []
    assert report.figures["stale states served"] != 0


async def test_a_bridge_killed_while_it_rebuilds_goes_on_afterwards(tmp_path: Path) -> None:
    """What was not published again before the bridge died is published by the next one."""
    report = await run_short(tmp_path, "interrupted")
    assert report.violations == []
