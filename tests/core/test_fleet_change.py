"""Fleet changes: what is written when, who counts as failed, and what a halt stops."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bridge.core.fleet_change import FleetChange
from bridge.core.fleet_plan import FAILED, FleetPlan, PlanError, TargetState, make_plan

OF_WRITE: list[TargetState] = ["in_flight", "converged", "refused", "overwritten", "skipped"]
OF_LOOK: list[TargetState] = ["converged", "overwritten"]


class Machine(RuleBasedStateMachine):
    """Drives a change as the service does, with every outcome, and keeps accounts beside."""

    @initialize(
        devices=st.integers(1, 60),
        percents=st.sets(st.integers(1, 99), max_size=4),
        pace=st.sampled_from([0.5, 3.0, 20.0, 2000.0]),
        within=st.sampled_from([0.5, 4.0, 30.0]),
        halt_at=st.sampled_from([1.0, 10.0, 50.0, 100.0]),
        minimum=st.integers(1, 3),
    )
    def begin(
        self,
        devices: int,
        percents: set[int],
        pace: float,
        within: float,
        halt_at: float,
        minimum: int,
    ) -> None:
        """Any plan."""
        self.plan = make_plan([*sorted(percents), 100], pace, within, halt_at, minimum)
        self.change = FleetChange(self.plan, ["pending"] * devices)
        self.bounds = self.plan.bounds(devices)
        self.now = 0.0
        self.written: set[int] = set()
        self.undone: set[int] = set()
        # A bucket that leaks at the pace, and never holds more than the burst.
        self.level, self.level_at = 0.0, 0.0
        self.has_restarted = False

    def pour(self, count: int) -> None:
        """Account for writes: never more than the pace allows, over any time."""
        self.level = max(0.0, self.level - (self.now - self.level_at) * self.plan.pace_per_s)
        self.level_at = self.now
        self.level += count
        assert self.level <= self.plan.burst + 0.001

    def failed(self, stage: int) -> int:
        """Count the failures of a stage."""
        begin = self.bounds[stage - 1] if stage else 0
        return sum(s in FAILED for s in self.change.states[begin : self.bounds[stage]])

    @rule(pause=st.floats(0.0, 10.0), outcomes=st.lists(st.sampled_from(OF_WRITE), min_size=1))
    def go_on(self, pause: float, outcomes: list[TargetState]) -> None:
        """Let time pass, and write what is due."""
        self.now += pause
        change = self.change
        change.expire(self.now)
        change.settle()
        status = change.status
        due = change.due(self.now)
        assert status in ("running", "undoing") or not due
        self.pour(len(due))
        assert len(set(due)) == len(due)
        for index, position in enumerate(due):
            if status == "running":
                assert position < self.bounds[change.stage]
                assert change.states[position] == "pending"
                assert position not in self.written, "nobody is written twice"
                self.written.add(position)
                assert change.move(position, outcomes[index % len(outcomes)], self.now)
            else:
                assert position in self.written
                assert position not in self.undone
                self.undone.add(position)
                assert change.move(position, "kept" if index % 3 == 2 else "undone", self.now)
        change.settle()

    @rule(pause=st.floats(0.0, 5.0))
    def sleep_until_due(self, pause: float) -> None:
        """What is due at a time is due then: the change gets on, or says that it does not."""
        at = self.change.next_at(self.now)
        if at is None:
            assert self.change.status not in ("running", "undoing")
            assert self.change.status != "waiting"
            return
        self.now = max(self.now, at)
        before = (tuple(self.change.states), self.change.status)
        self.go_on(0.0, ["in_flight"])
        assert (tuple(self.change.states), self.change.status) != before
        self.now += pause

    @rule(position=st.integers(0, 59), verdict=st.sampled_from(OF_LOOK))
    def judge(self, position: int, verdict: TargetState) -> None:
        """A device reports, or somebody else writes: it may also be too late."""
        change = self.change
        if position < len(change.states) and change.states[position] in ("in_flight", "timed_out"):
            assert change.move(position, verdict, self.now)
            change.settle()

    @rule()
    def pause(self) -> None:
        """Stop it."""
        was = self.change.status
        assert self.change.pause() is (was in ("running", "waiting"))

    @rule()
    def resume(self) -> None:
        """Go on: failures of a halted stage are accepted, those of a paused one are not."""
        was = self.change.status
        assert self.change.resume() is (was in ("paused", "halted"))
        if was == "halted":
            assert self.change.failed == 0 or self.change.status != "halted"

    @rule(draw=st.integers(0, 9))
    def undo(self, draw: int) -> None:
        """Sometimes."""
        if draw == 0:
            was = self.change.status
            assert self.change.undo() is (was not in ("undoing", "undone"))

    @rule()
    def restart(self) -> None:
        """Only what is stored is known afterwards; the clock begins again."""
        old = self.change
        self.level_at -= self.now
        self.now = 0.0
        self.change = FleetChange(
            self.plan, old.states, status=old.status, stage=old.stage, excused=old.excused
        )
        assert (self.change.status, self.change.stage) == (old.status, old.stage)
        self.has_restarted = True

    @invariant()
    @precondition(lambda self: hasattr(self, "change"))
    def every_device_is_in_one_state(self) -> None:
        """And progress says so."""
        change = self.change
        assert sum(sum(counts.values()) for counts in change.progress) == len(change.states)
        for stage, counts in enumerate(change.progress):
            begin = self.bounds[stage - 1] if stage else 0
            states = change.states[begin : self.bounds[stage]]
            assert {state: states.count(state) for state in states} == counts
        assert {p for p, s in enumerate(change.states) if s == "pending"}.isdisjoint(self.written)

    @invariant()
    @precondition(lambda self: hasattr(self, "change"))
    def nothing_is_written_ahead_of_the_stage(self) -> None:
        """Nor in a stage that follows one with devices in flight."""
        end = self.bounds[self.change.stage]
        assert all(position < end for position in self.written)

    @invariant()
    @precondition(lambda self: hasattr(self, "change"))
    def what_goes_on_has_not_failed(self) -> None:
        """By a count of its own."""
        change = self.change
        if change.status in ("running", "waiting"):
            failed = max(0, self.failed(change.stage) - change.excused)
            begin = self.bounds[change.stage - 1] if change.stage else 0
            size = self.bounds[change.stage] - begin
            assert (
                failed < self.plan.halt_minimum or failed * 100 < self.plan.halt_at_percent * size
            )
        if change.status == "done":
            assert not {"pending", "in_flight"} & set(change.states)

    @invariant()
    @precondition(lambda self: hasattr(self, "change") and not self.has_restarted)
    def no_more_are_in_flight_than_the_pace_allows(self) -> None:
        """What is written within the time that a device may take."""
        plan, change = self.plan, self.change
        change.expire(self.now)
        change.settle()
        if change.status not in ("undoing", "undone"):
            most = plan.pace_per_s * plan.converge_within_s + plan.burst
            assert change.in_flight <= most + 0.001


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase


def drive(change: FleetChange, outcome: dict[int, TargetState], until: float) -> None:
    """Let a change go on, each device with its outcome, to a time or until nothing is due."""
    now = 0.0
    while (at := change.next_at(now)) is not None and at <= until:
        now = max(now, at)
        change.expire(now)
        change.settle()
        for position in change.due(now):
            change.move(position, outcome.get(position, "converged"), now)
        change.settle()


def plan(**changed: Any) -> FleetPlan:
    """A plan of three stages."""
    return FleetPlan(stages=(5.0, 25.0, 100.0), pace_per_s=50.0)._replace(**changed)


def test_a_fleet_that_converges_is_done() -> None:
    """Stage by stage."""
    change = FleetChange(plan(), ["pending"] * 40)
    drive(change, {}, 1000.0)
    assert change.status == "done"
    assert change.progress == ({"converged": 2}, {"converged": 8}, {"converged": 30})


def test_a_stage_with_too_many_failures_halts_and_nothing_is_written_behind_it() -> None:
    """Two of eight are 25 %."""
    change = FleetChange(plan(halt_at_percent=25.0), ["pending"] * 40)
    drive(change, {3: "in_flight", 7: "refused"}, 1000.0)
    assert change.status == "halted"
    assert (change.stage, change.failed) == (1, 2)
    assert change.progress[2] == {"pending": 30}
    assert change.next_at(2000.0) is None


def test_a_minimum_lets_few_failures_pass() -> None:
    """One device of the first two is half of them, and still one."""
    change = FleetChange(plan(halt_minimum=2), ["pending"] * 40)
    drive(change, {0: "refused"}, 1000.0)
    assert change.status == "done"


def test_a_halted_change_goes_on_when_it_is_resumed_until_more_fail() -> None:
    """What had failed is accepted."""
    change = FleetChange(plan(), ["pending"] * 40)
    drive(change, {0: "refused", 1: "in_flight"}, 1.0)
    assert (change.status, change.stage) == ("halted", 0)
    assert change.resume()
    drive(change, {}, 2000.0)
    assert change.status == "halted", "the second one has timed out as well"
    assert change.resume()
    drive(change, {}, 3000.0)
    assert change.status == "done"


def test_a_late_device_is_no_failure_any_more() -> None:
    """It was only slow."""
    change = FleetChange(plan(halt_minimum=2), ["pending"] * 40)
    drive(change, {0: "in_flight"}, 1000.0)
    assert change.progress[0] == {"timed_out": 1, "converged": 1}
    assert change.move(0, "converged", 1000.0)
    assert change.progress[0] == {"converged": 2}
    assert not change.move(0, "timed_out", 1000.0), "and that is final"


def test_stages_of_a_small_fleet_may_be_empty() -> None:
    """They are passed over."""
    change = FleetChange(plan(), ["pending"])
    assert plan().bounds(1) == (1, 1, 1)
    drive(change, {}, 1000.0)
    assert change.status == "done"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"stages": []}, "stages"),
        ({"stages": [5, 5, 100]}, "stages"),
        ({"stages": [50]}, "stages"),
        ({"stages": [0, 100]}, "stages"),
        ({"stages": [float("nan"), 100]}, "stages"),
        ({"stages": [*range(1, 21), 100]}, "stages"),
        ({"pace_per_s": 0}, "pace_per_s"),
        ({"pace_per_s": float("inf")}, "pace_per_s"),
        ({"converge_within_s": float("nan")}, "converge_within_s"),
        ({"halt_at_percent": 0}, "halt_at_percent"),
        ({"halt_at_percent": 101}, "halt_at_percent"),
        ({"halt_minimum": 0}, "halt_minimum"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changed: dict[str, Any], named: str) -> None:
    """By the name of the member."""
    with pytest.raises(PlanError, match=named):
        make_plan(**{**FleetPlan()._asdict(), **changed})
