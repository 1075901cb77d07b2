"""How often something happens, where that changes with time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from device_sim.scenarios.scenario import OWN_RATE, Scenario


class Rates:
    """Events per second, constant from one time to the next.

    Args:
        steps: Times in seconds, ascending and the first at most 0, each with the rate from then on.
    """

    def __init__(self, steps: Sequence[tuple[float, float]]) -> None:
        self._steps = tuple(steps)

    @classmethod
    def of(
        cls,
        rate_hz: float,
        scenario: Scenario | None,
        what: Literal["rate_hz", "desired_rate_hz"],
        ramp_s: float,
        own_hz: float = 0.0,
    ) -> Rates:
        """Return the rates of a run.

        Args:
            rate_hz: Where no phase says anything else.
            scenario: Its phases may; each says it for itself.
            what: Which of a phase's rates.
            ramp_s: When the scenario begins.
            own_hz: The kind's own rate.
        """
        steps = [(0.0, rate_hz)]
        for start_s, phase in scenario.begins() if scenario is not None else ():
            said = phase.rate_hz if what == "rate_hz" else phase.desired_rate_hz
            hz = own_hz if said == OWN_RATE else rate_hz if said is None else said
            steps.append((ramp_s + start_s, hz))
        return cls(steps)

    def from_time(self, start_s: float) -> Rates:
        """Return the same, for a clock that begins at a time of this one."""
        return Rates([(at_s - start_s, hz) for at_s, hz in self._steps])

    def after(self, at_s: float, events: float) -> float:
        """Return when so many further events have happened on average; infinity for never."""
        for index, (_, hz) in enumerate(self._steps):
            last = index + 1 == len(self._steps)
            end_s = math.inf if last else self._steps[index + 1][0]
            if end_s <= at_s:
                continue
            due_s = at_s + events / hz if hz > 0 else math.inf
            if due_s < end_s:
                return due_s
            if last:
                return math.inf
            events -= (end_s - at_s) * hz
            at_s = end_s
        return math.inf
