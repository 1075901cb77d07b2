"""Torture in a short form: every kind of failure once, on real processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.torture.launch import POINTS, Launch
from benchmarks.torture.main import main
from benchmarks.torture.plan import BROKER_KINDS, Event, Life, Plan, make_plan
from benchmarks.torture.round import Round

FLEET = Plan(seed=3, number=0, devices=12, rate_per_s=150)


async def run(plan: Plan, directory: Path) -> Round:
    """Run a round, which has to end with nothing found."""
    round_ = Round(plan, directory / "r")
    verdict = await round_.run()
    assert verdict.violations == []
    assert verdict.figures["updates refused"] == 0
    assert verdict.figures["updates acknowledged"] > 50
    return round_


async def test_a_bridge_that_dies_at_every_step_loses_nothing(tmp_path: Path) -> None:
    """Inside a migration, around and inside a commit, and before the acknowledgement."""
    points = [point for point in POINTS if point != "inside-migration"]
    lives = tuple(Life(Launch(point, 3)) for point in points)
    plan = replace(FLEET, begins_older=True, migrations=(1, 3), lives=lives)
    round_ = await run(plan, tmp_path)
    assert [round_.figures[f"died {point}"] for point in points] == [1] * len(points)
    assert round_.figures["died inside-migration"] == 2


async def test_brokers_that_forget_and_bridges_that_die_with_them_lose_nothing(
    tmp_path: Path,
) -> None:
    """What a broker comes back with is from before; a line is cut, slow, and dead besides."""
    kill = Event("kill-broker", 0.2, 0.0)
    line = (Event("cut-bridge", 0.1, 0.0), Event("cut-devices", 0.2, 0.0))
    lives = (
        Life(killed_after_s=0.4, events=(kill,)),
        Life(killed_after_s=0.4, broker_too=True),
        Life(killed_after_s=0.6, events=(*line, Event("delay-bridge", 0.0, 0.4))),
        Life(killed_after_s=0.6, events=(Event("freeze-bridge", 0.0, 0.3),)),
    )
    round_ = await run(replace(FLEET, broker="snapshot", lives=lives), tmp_path)
    assert round_.figures["broker kills"] == 2


async def test_a_store_that_fails_in_every_way_loses_nothing(tmp_path: Path) -> None:
    """The disk is full, the file turns read-only, time goes back, and a page is damaged."""
    full = Event("disk-full", 0.2, 1.0)
    lives = (
        Life(Launch(clock_offset_s=3600.0), killed_after_s=2.0, events=(full,)),
        Life(Launch(clock_step_s=-7200.0, clock_step_at_s=0.5), killed_after_s=0.5),
        Life(Launch(read_only_at_s=0.2, read_only_for_s=1.0), killed_after_s=2.0),
        Life(killed_after_s=1.0, events=(Event("stop-bridge", 0.1, 0.3),)),
    )
    round_ = await run(replace(FLEET, lives=lives, corrupts=True), tmp_path)
    assert round_.figures["pages corrupted"] == 1
    assert round_.figures["store said to be away"] >= 2


def test_a_plan_follows_from_the_seed_and_the_number_alone() -> None:
    """And another seed, or another number, makes another one."""
    assert make_plan(1, 5) == make_plan(1, 5)
    assert len({make_plan(seed, number) for seed in (1, 2) for number in range(10)}) == 20


def test_everything_is_drawn_in_the_long_run() -> None:
    """Each broker, each point, each event and each bad clock, in the rounds of half an hour."""
    plans = [make_plan(1, number) for number in range(40)]
    lives = [life for plan in plans for life in plan.lives]
    assert {plan.broker for plan in plans} == set(BROKER_KINDS)
    assert {life.launch.point for life in lives} == {*POINTS, None} - {"inside-migration"}
    assert any(plan.migrations for plan in plans)
    assert any(plan.corrupts for plan in plans)
    assert any(life.launch.read_only_for_s for life in lives)
    assert any(life.launch.clock_step_s < 0 for life in lives)
    longest = max(event.for_s for life in lives for event in life.events)
    assert longest == 30.0


def test_a_round_is_run_again_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """By its seed and number, as the line of a run says; here with one life only."""
    assert main(["--seed", "4", "--round", "0", "--lives", "1"]) == 0
    assert "bridge kills" in capsys.readouterr().out
