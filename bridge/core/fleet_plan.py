"""How a fleet change is to go: its stages, its pace, and when it halts by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

STAGES_MAX: Final = 20
"""Most stages of one change: more than anybody looks at one by one."""

PACE_MAX_PER_S: Final = 10_000.0
"""Fastest pace: some of what a bridge writes at all, so that messages get their turn."""

PACE_MIN_PER_S: Final = 0.001
"""Slowest pace: one device in a quarter of an hour."""

CONVERGE_WITHIN_MAX_S: Final = 7 * 86_400.0
"""Longest time that a device may take: one that sleeps for a week."""

TARGETS_MAX: Final = 100_000
"""Most devices of one change: what is kept of them is made in one transaction."""

WRITES_TOGETHER: Final = 256
"""Most devices that are written in one transaction, so that messages get their turn."""

BURST_S: Final = 0.2
"""What the pace allows in this time may be written together: one commit for several devices."""

TargetState: TypeAlias = Literal[
    "pending",
    "in_flight",
    "converged",
    "timed_out",
    "refused",
    "overwritten",
    "skipped",
    "undone",
    "kept",
]
"""What has become of one device:

- pending: not written yet,
- in_flight: written; it does not report what is desired yet,
- converged: it reports what is desired,
- timed_out: it did not in time,
- refused: the write was refused,
- overwritten: somebody else has written the same since, or a policy kept something else,
- skipped: its twin was deleted before it was written,
- undone: what was there before is there again,
- kept: somebody else has written since, and that was left; or the undoing was refused.
"""

FAILED: Final[frozenset[TargetState]] = frozenset({"timed_out", "refused"})
"""What counts against the threshold."""


class PlanError(ValueError):
    """A plan that is not allowed; the text names the member and says why."""


class FleetPlan(NamedTuple):
    """A plan. Made by `make_plan`.

    Attributes:
        stages: Percent of the devices that are written at the end of each stage, rising; the last
            one is 100.
        pace_per_s: Devices written in a second.
        converge_within_s: How long a device may take to report what is desired of it.
        halt_at_percent: The change halts where so much of a stage has failed.
        halt_minimum: And at least so many devices.
    """

    stages: tuple[float, ...] = (100.0,)
    pace_per_s: float = 50.0
    converge_within_s: float = 60.0
    halt_at_percent: float = 10.0
    halt_minimum: int = 1

    def bounds(self, targets: int) -> tuple[int, ...]:
        """Return how many of so many devices are written at the end of each stage."""
        return tuple(math.ceil(targets * percent / 100) for percent in self.stages)

    @property
    def burst(self) -> int:
        """Devices that may be written at the same moment."""
        return min(max(1, int(self.pace_per_s * BURST_S)), WRITES_TOGETHER)


def make_plan(
    stages: Sequence[float],
    pace_per_s: float,
    converge_within_s: float,
    halt_at_percent: float,
    halt_minimum: int,
) -> FleetPlan:
    """Return a plan; see `FleetPlan` for what each argument means.

    Raises:
        PlanError: One of them is not allowed.
    """
    if not 1 <= len(stages) <= STAGES_MAX:
        raise PlanError(f"stages: 1 to {STAGES_MAX} are allowed")
    # Written so that no comparison lets NaN through.
    if not (
        stages[0] > 0 and stages[-1] == 100 and all(one < other for one, other in pairwise(stages))
    ):
        raise PlanError("stages: they must be percentages that rise, and the last one is 100")
    for name, value, least, most in (
        ("pace_per_s", pace_per_s, PACE_MIN_PER_S, PACE_MAX_PER_S),
        ("converge_within_s", converge_within_s, 0.1, CONVERGE_WITHIN_MAX_S),
        ("halt_at_percent", halt_at_percent, 0.001, 100.0),
        ("halt_minimum", halt_minimum, 1, TARGETS_MAX),
    ):
        if not least <= value <= most:
            raise PlanError(f"{name}: it must be from {least:g} to {most:g}")
    return FleetPlan(
        tuple(map(float, stages)),
        float(pace_per_s),
        float(converge_within_s),
        float(halt_at_percent),
        halt_minimum,
    )
