"""A pace: so many a second, evenly, with time as an argument."""

from __future__ import annotations

from typing import Final

BURST_S: Final = 0.1
"""What has not been taken for this long may be taken at once: it spares the timer, not the rate."""


class Pace:
    """Gives leave so many times a second.

    Args:
        per_s: How often.
    """

    def __init__(self, per_s: int) -> None:
        self._interval_s = 1 / per_s
        # Half an interval more, because sums of fractions are not exact.
        self._burst_s = self._interval_s * (max(1, int(per_s * BURST_S)) - 0.5)
        self._used_until = float("-inf")

    def next_at(self) -> float:
        """Return from when on there is leave, in s."""
        return self._used_until - self._burst_s

    def take(self, now: float) -> bool:
        """Take leave once, if there is any at this time, in s."""
        if now < self.next_at():
            return False
        self._used_until = max(self._used_until, now) + self._interval_s
        return True
