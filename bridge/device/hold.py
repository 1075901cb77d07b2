"""When reports may be sent, where the bridge has said that it takes none, or not so many.

What is refused with a time (429 `too_fast`) is sent again after that time, and then one report at a
time at the pace that the bridge has told: all at once would meet the same refusal, most of them
without an answer. Where no time is told (503), the wait doubles each time.
"""

from __future__ import annotations

from bridge.device.outbox import InFlight, Outbox
from bridge.device.replies import Reply
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

    def refused(self, entry: InFlight, outbox: Outbox, reply: Reply, now: float) -> float:
        """Hold everything back for a while, because a report was refused.

        Args:
            entry: The report.
            outbox: What it is in.
            reply: The refusal, with the time and the pace that it tells, if it does.
            now: The time.

        Returns:
            Until when.
        """
        if reply.retry_after_s is None:
            if now >= self._refused_until:
                self._refused_until = now + backoff_s(self._first_s, self._refusals)
                self._refusals += 1
            entry.retry.start_anew(self._refused_until)
            return self._refused_until
        self._slow_down(now, min(reply.retry_after_s, RETRY_MAX_S), reply.messages_per_s)
        # Of what is too fast the bridge answers few: the others have met the same.
        for retry in outbox.retries():
            retry.start_anew(self._next)
        return self._next

    def _slow_down(self, now: float, wait_s: float, messages_per_s: float | None) -> None:
        interval_s = min(1 / messages_per_s, RETRY_MAX_S) if messages_per_s else wait_s
        self._interval_s = max(interval_s, wait_s)
        self._next = max(self._next, now + wait_s)
        self._paced_until = self._next + max(PACED_S, self._interval_s)

    def opens(self) -> float:
        """Return the time from which on a report may be sent."""
        return max(self._refused_until, self._next)

    def take_due(self, outbox: Outbox, now: float) -> list[InFlight]:
        """Return the reports that are to be sent now, and count them as sent."""
        # At a pace nothing is sealed before its turn: what waits longer can still be merged.
        is_paced = now < self._paced_until
        if not is_paced or not outbox.due(now):
            outbox.seal(now)
        due = outbox.due(now)
        if due and is_paced:
            self._next = now + self._interval_s
            del due[1:]
        for entry in due:
            entry.retry.postpone(now, self._first_s)
        return due
