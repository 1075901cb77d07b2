"""Bugs planted in a real bridge, each of which the checker has to find: it is able to fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.torture.launch import Launch, Plant
from benchmarks.torture.plan import Life, Plan
from benchmarks.torture.round import Round
from device_sim.checker import Invariant, Verdict

QUIET = Plan(seed=7, number=0, devices=12, rate_per_s=400)
"""A fleet, and nothing that happens to it."""


def with_bug(plant: Plant, every: int, *, kills: int = 0, calm_s: float = 3.0) -> Plan:
    """A round in which every process of the bridge has a bug, and lives for a while."""
    launch = Launch(plant=plant, plant_every=every)
    lives = tuple(Life(launch, killed_after_s=calm_s) for _ in range(max(1, kills)))
    return replace(QUIET, lives=lives, last_launch=launch)


async def verdict_of(plan: Plan, directory: Path) -> Verdict:
    """Run a round on a real broker, with real processes, and let the checker judge."""
    return await Round(plan, directory / "r").run()


def broken(verdict: Verdict) -> set[Invariant]:
    """Which invariants the checker found broken."""
    return {violation.invariant for violation in verdict.violations}


async def test_without_a_bug_nothing_is_found(tmp_path: Path) -> None:
    """The same round: what the others find is not the checker's own doing."""
    verdict = await verdict_of(replace(QUIET, lives=(Life(killed_after_s=3.0),)), tmp_path)
    assert verdict.violations == []
    assert verdict.figures["updates acknowledged"] > 500
    assert verdict.figures["deltas seen"] > 20


async def test_an_acknowledgement_before_the_commit_is_found(tmp_path: Path) -> None:
    """What was answered and not yet written is lost with a kill."""
    plan = with_bug("acknowledge-before-commit", 0, kills=3, calm_s=1.0)
    verdict = await verdict_of(plan, tmp_path)
    assert Invariant.ACKNOWLEDGED_IS_KEPT in broken(verdict)


async def test_an_older_version_that_is_published_is_found(tmp_path: Path) -> None:
    """Once in 150 publishes, and no more often than it happened."""
    verdict = await verdict_of(with_bug("publish-older-version", 150), tmp_path)
    found = [v for v in verdict.violations if v.invariant is Invariant.STATE_NEVER_GOES_BACK]
    assert 0 < len(found) <= verdict.figures["states seen"] / 150


async def test_one_dropped_update_in_hundreds_is_found(tmp_path: Path) -> None:
    """One in 400. It is named: the device, and which of its messages; others are not."""
    verdict = await verdict_of(with_bug("drop-update", 400), tmp_path)
    lost = [v for v in verdict.violations if v.invariant is Invariant.ACKNOWLEDGED_IS_KEPT]
    named = {(violation.twin, violation.message) for violation in lost}
    # With one, all others of its twin in the same transaction are dropped.
    assert 0 < len(named) <= verdict.figures["updates sent"] / 100
    for violation in lost:
        assert violation.twin.startswith("device-")
        assert "seq=" in violation.message


async def test_a_delta_that_is_off_by_one_is_found(tmp_path: Path) -> None:
    """Once in 50: the version is named, and what stands there, and what should."""
    verdict = await verdict_of(with_bug("delta-off-by-one", 50), tmp_path)
    assert broken(verdict) == {Invariant.DELTA_IS_EXACT}
    assert all("should be" in violation.detail for violation in verdict.violations)
