"""A fleet change: which device is written next, who has converged, and when it halts.

Devices stand in an order that is fixed when the change is made, and are written in that order,
stage by stage. The next stage begins when every device of the present one has been judged. Time is
an argument, in s, on any clock that does not go back; where that clock stands still, nobody's time
runs out and nobody is written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from bridge.core.fleet_plan import FAILED, WRITES_TOGETHER, FleetPlan, TargetState

Status: TypeAlias = Literal["running", "waiting", "paused", "halted", "done", "undoing", "undone"]
"""Where a change stands:

- running: devices are written,
- waiting: all of the stage are written, and some have not been judged,
- paused: somebody has stopped it,
- halted: too many of a stage have failed,
- done: all devices are judged,
- undoing, undone: what was there before is being written, or is there again.
"""

GOING: Final[frozenset[Status]] = frozenset({"running", "waiting", "undoing"})
"""It goes on by itself."""

FINISHED: Final[frozenset[Status]] = frozenset({"done", "undone"})

_ROUNDING: Final = 1e-6
"""A token's part that rounding has lost is no reason to wait."""

_MOVES: Final[Mapping[TargetState, frozenset[TargetState]]] = {
    "pending": frozenset({"in_flight", "converged", "refused", "overwritten", "skipped"}),
    "in_flight": frozenset({"converged", "timed_out", "overwritten", "undone", "kept"}),
    "timed_out": frozenset({"converged", "overwritten", "undone", "kept"}),
    "converged": frozenset({"undone", "kept"}),
    "overwritten": frozenset({"undone", "kept"}),
    "refused": frozenset(),
    "skipped": frozenset(),
    "undone": frozenset(),
    "kept": frozenset(),
}
_UNDOABLE: Final[frozenset[TargetState]] = frozenset(
    state for state, moves in _MOVES.items() if "undone" in moves
)


class FleetChange:
    """One change. Whoever drives it writes what is `due`, tells what came of it, and settles.

    Args:
        plan: How it is to go.
        states: The state of each device, in the order of the change.
        status: Where it stands.
        stage: Index of the present stage.
        excused: Failures of the present stage that somebody has accepted by resuming.
        now: The time, in s. Devices in flight have all their time from now on.

    Attributes:
        plan: As given.
        status: Where it stands.
        stage: Index of the present stage.
        excused: As above.
    """

    def __init__(
        self,
        plan: FleetPlan,
        states: Sequence[TargetState],
        *,
        status: Status = "running",
        stage: int = 0,
        excused: int = 0,
        now: float = 0.0,
    ) -> None:
        self.plan = plan
        self.status: Status = status
        self.stage = stage
        self.excused = excused
        self._states = list(states)
        self._bounds = plan.bounds(len(self._states))
        self._counts: list[Counter[TargetState]] = [Counter() for _ in self._bounds]
        for position, state in enumerate(self._states):
            self._counts[self._stage_of(position)][state] += 1
        self._next = self._first_pending()
        self._next_undo = 0
        self._deadlines: deque[tuple[float, int]] = deque(
            (now + plan.converge_within_s, position)
            for position, state in enumerate(self._states)
            if state == "in_flight"
        )
        # After a restart what was written before it is not known: an empty bucket is on the safe
        # side.
        self._tokens = 0.0 if self._next else float(plan.burst)
        self._tokens_at = now
        self.settle()

    def _stage_of(self, position: int) -> int:
        return bisect_right(self._bounds, position)

    def _first_pending(self) -> int:
        try:
            return self._states.index("pending")
        except ValueError:
            return len(self._states)

    @property
    def states(self) -> Sequence[TargetState]:
        """The state of each device."""
        return self._states

    @property
    def progress(self) -> tuple[Mapping[TargetState, int], ...]:
        """How many devices are in each state, stage by stage."""
        return tuple({s: n for s, n in counts.items() if n} for counts in self._counts)

    @property
    def failed(self) -> int:
        """Failures of the present stage that nobody has accepted."""
        counts = self._counts[self.stage]
        return max(0, sum(counts[state] for state in FAILED) - self.excused)

    @property
    def in_flight(self) -> int:
        """Devices that are written and not judged."""
        return sum(counts["in_flight"] for counts in self._counts)

    def move(self, position: int, state: TargetState, now: float) -> bool:
        """Note what has become of a device; returns False where that cannot follow what it is."""
        before = self._states[position]
        if state not in _MOVES[before]:
            return False
        counts = self._counts[self._stage_of(position)]
        counts[before] -= 1
        counts[state] += 1
        self._states[position] = state
        if state == "in_flight":
            self._deadlines.append((now + self.plan.converge_within_s, position))
        return True

    def due(self, now: float) -> list[int]:
        """Return the devices to write now; asking takes them from what the pace allows.

        They are to be written in the states in which they are now: pending ones get the patch,
        others what was there before. What is not written stays due.
        """
        if self.status not in ("running", "undoing"):
            return []
        self._fill(now)
        count = min(int(self._tokens + _ROUNDING), WRITES_TOGETHER)
        if count < 1:
            return []
        found = []
        for position in self._left():
            found.append(position)
            if len(found) == count:
                break
        self._tokens -= len(found)
        return found

    def _left(self) -> Iterator[int]:
        """Yield what is still to be written: of the stage, or of the undoing."""
        if self.status == "running":
            end = self._bounds[self.stage]
            while self._next < end and self._states[self._next] != "pending":
                self._next += 1
            yield from (p for p in range(self._next, end) if self._states[p] == "pending")
        elif self.status == "undoing":
            end = len(self._states)
            while self._next_undo < end and self._states[self._next_undo] not in _UNDOABLE:
                self._next_undo += 1
            yield from (p for p in range(self._next_undo, end) if self._states[p] in _UNDOABLE)

    def _fill(self, now: float) -> None:
        gained = max(0.0, now - self._tokens_at) * self.plan.pace_per_s
        self._tokens = min(float(self.plan.burst), self._tokens + gained)
        self._tokens_at = now

    def expire(self, now: float) -> list[int]:
        """Return the devices in flight whose time has run out; they are noted as timed out."""
        expired: list[int] = []
        if self.status == "undoing":
            return expired
        while (deadline := self._next_deadline()) is not None and deadline <= now:
            _, position = self._deadlines.popleft()
            self.move(position, "timed_out", now)
            expired.append(position)
        return expired

    def _next_deadline(self) -> float | None:
        """Return the earliest deadline; those of devices that have been judged are let go."""
        while self._deadlines and self._states[self._deadlines[0][1]] != "in_flight":
            self._deadlines.popleft()
        return self._deadlines[0][0] if self._deadlines else None

    def next_at(self, now: float) -> float | None:
        """Return when something is to be done: now or earlier means at once, None not by itself."""
        times = []
        if self.status in ("running", "undoing") and any(True for _ in self._left()):
            self._fill(now)
            # Not each by itself where several may go together.
            missing = min(self.plan.burst, self._count_left()) - self._tokens
            times.append(now + max(0.0, missing) / self.plan.pace_per_s)
        deadline = None if self.status == "undoing" else self._next_deadline()
        if deadline is not None:
            times.append(deadline)
        return min(times, default=None)

    def _count_left(self) -> int:
        if self.status == "running":
            return self._counts[self.stage]["pending"]
        return sum(counts[state] for counts in self._counts for state in _UNDOABLE)

    def settle(self) -> None:
        """Draw the conclusions: halt, wait, go on to the next stage, or end.

        To be called after every `move` and `expire`, before anything else is due.
        """
        if self.status == "undoing" and not self._count_left():
            self.status = "undone"
        while self.status in ("running", "waiting"):
            counts = self._counts[self.stage]
            if self._has_failed(counts):
                self.status = "halted"
            elif counts["pending"]:
                self.status = "running"
                return
            elif counts["in_flight"]:
                self.status = "waiting"
                return
            elif self.stage == len(self._bounds) - 1:
                self.status = "done"
            else:
                self.stage += 1
                self.excused = 0

    def _has_failed(self, counts: Counter[TargetState]) -> bool:
        failed = self.failed
        share = failed * 100 >= self.plan.halt_at_percent * counts.total()
        return failed >= self.plan.halt_minimum and share

    def pause(self) -> bool:
        """Stop writing; returns False where it does not write, or undoes."""
        if self.status not in ("running", "waiting"):
            return False
        self.status = "paused"
        return True

    def resume(self) -> bool:
        """Go on; what has failed so far in a stage that halted counts no more.

        Returns:
            False where it is neither paused nor halted.
        """
        if self.status == "halted":
            self.excused += self.failed
        elif self.status != "paused":
            return False
        self.status = "running"
        self.settle()
        return True

    def undo(self) -> bool:
        """Begin to restore what was there before; returns False where that has begun already."""
        if self.status in ("undoing", "undone"):
            return False
        self.status = "undoing"
        self._next_undo = 0
        self.settle()
        return True
