"""When reports may be sent, where the bridge has said that it takes none, or not so many.

What is refused with a time (429 `too_fast`) is sent again after that time, and then one report at a
time at the pace that the bridge has told: all at once would meet the same refusal, most of them
without an answer. Where no time is told (503), the wait doubles each time.
"""

from __future__ import annotations

from bridge.device.retry import RETRY_MAX_S, backoff_s

PACED_S = 10.0
"""Time after the last such refusal for which the pace is kept. Then the window may go at once
again: the bridge's limit lets pass what was saved up in a rest."""


class Hold:
    """Holds back the reports of one session.

    Args:
        first_s: Wait after the first refusal that tells no time.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._refused_until = float("-inf")
        self._refusals = 0
        self._paced_until = float("-inf")
        self._interval_s = 0.0
        self._next = float("-inf")

    def start_anew(self) -> None:
        """Forget refusals that told no time: there is a new connection, or the bridge answers."""
        self._refused_until = float("-inf")
        self._refusals = 0

    def refused(
        self, now: float, wait_s: float | None = None, messages_per_s: float | None = None
    ) -> float:
        """Hold everything back for a while.

        Args:
            now: The time.
            wait_s: The time that was told, if one was.
            messages_per_s: The pace that was told, if one was.

        Returns:
            Until when.
        """
        if wait_s is None:
            if now >= self._refused_until:
                self._refused_until = now + backoff_s(self._first_s, self._refusals)
                self._refusals += 1
            return self._refused_until
        wait_s = min(wait_s, RETRY_MAX_S)
        interval_s = min(1 / messages_per_s, RETRY_MAX_S) if messages_per_s else wait_s
        self._interval_s = max(interval_s, wait_s)
        self._next = max(self._next, now + wait_s)
        self._paced_until = self._next + max(PACED_S, self._interval_s)
        return self._next

    def is_paced(self, now: float) -> bool:
        """Tell whether reports go one at a time."""
        return now < self._paced_until

    def opens(self) -> float:
        """Return the time from which on a report may be sent."""
        return max(self._refused_until, self._next)

    def sent(self, now: float) -> None:
        """Note that a report is sent at a pace."""
        self._next = now + self._interval_s
