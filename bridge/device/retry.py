"""When something unanswered is sent again."""

from __future__ import annotations

RETRY_MAX_S = 300.0
"""Longest time between two attempts. While a bridge is away, what is sent to it waits in the
broker, each attempt once more; when it is back it answers those, and `hurry` does the rest."""

TRY_LATER_CODES = frozenset({429, 503})
"""Refusals that are not final: too fast, and not ready."""

_FACTOR = 2.0
_DOUBLINGS_MAX = 16


def backoff_s(first_s: float, attempts: int) -> float:
    """Return the time to wait after an attempt (from 0): doubling, up to `RETRY_MAX_S`."""
    return min(first_s * _FACTOR ** min(attempts, _DOUBLINGS_MAX), RETRY_MAX_S)


class Retry:
    """One thing's attempts on one connection.

    Attributes:
        due: When it is to be sent next, on the clock of `now`.
        sent: How often it was sent since the last new start.
    """

    __slots__ = ("_attempts", "due", "sent")

    def __init__(self, now: float) -> None:
        self.due = now
        self.sent = 0
        self._attempts = 0

    def start_anew(self, now: float) -> None:
        """Make it due: there is a new connection."""
        self.due = now
        self.sent = 0
        self._attempts = 0

    def hurry(self, now: float, first_s: float) -> None:
        """Make it due after the first wait, if not before: the bridge is there."""
        self.due = min(self.due, now + first_s)
        self._attempts = 0

    def take(self, now: float, first_s: float) -> bool:
        """Tell whether it is due, and if so count an attempt."""
        if self.due > now:
            return False
        self.postpone(now, first_s)
        self.sent += 1
        return True

    def postpone(self, now: float, first_s: float) -> None:
        """Make it due later than the last time."""
        self.due = now + backoff_s(first_s, self._attempts)
        self._attempts += 1
