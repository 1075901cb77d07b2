"""A device's clock, which may be wrong."""

from __future__ import annotations

from collections.abc import Sequence

from device_sim.faults.fault import Fault

_US = 1_000_000


class DeviceClock:
    """What a device takes for the time.

    Args:
        started_us: The true time when the run began, in µs since the epoch.
        traits: What is wrong with the clock; other faults are passed over.
    """

    def __init__(self, started_us: int, traits: Sequence[Fault]) -> None:
        self._started_us = started_us
        self._traits = tuple(fault for fault in traits if fault.kind.startswith("clock-"))
        self._stepped_s = 0.0

    def step_back(self, by_s: float) -> None:
        """Set it back."""
        self._stepped_s += by_s

    def now_us(self, at_s: float) -> int:
        """Return what it shows so long after the run began, in µs since the epoch."""
        base_us, offset_s = self._started_us, -self._stepped_s
        for fault in self._traits:
            if not fault.holds(at_s):
                continue
            if fault.kind == "clock-ahead":
                offset_s += fault.by_s
            elif fault.kind == "clock-behind":
                offset_s -= fault.by_s
            elif fault.kind == "clock-drift":
                offset_s += fault.by_s * (at_s - fault.start_s) / 3600.0
            else:
                base_us = 0
        return base_us + round((at_s + offset_s) * _US)
