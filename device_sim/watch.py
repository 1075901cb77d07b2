"""What can be seen of one twin from outside, and how soon after a report it was seen."""

from __future__ import annotations

from collections import deque

from bridge.device import JsonObject
from device_sim.document import at_path, equal_by_value, leaves
from device_sim.latency import Latencies

ARRIVALS_MAX = 64
"""States remembered with their times: a reply follows its state, or goes before, within a few."""

WAITING_MAX = 64
"""Reports remembered whose state has not been seen: more than a device has in flight."""


class TwinWatch:
    """The retained state of one twin, as the observer has seen it.

    Attributes:
        version: Of the last state seen; 0 before the first.
        reported: What it said.
        desired: What it said.
        online: What it said.
        at: The bridge's time of the version, in µs since the epoch.
        outstanding_since: When `reported` began to lack something of `desired`; None while it lacks
            nothing.
        went_back: How often an older version came after a newer one, which no subscriber should
            ever see.
    """

    def __init__(self) -> None:
        self.version = 0
        self.went_back = 0
        self.reported: JsonObject = {}
        self.desired: JsonObject = {}
        self.outstanding_since: float | None = None
        self.online: bool | None = None
        self.at = 0
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=ARRIVALS_MAX)
        self._waiting: deque[tuple[int, float]] = deque(maxlen=WAITING_MAX)

    def seen(
        self, document: JsonObject, now: float, latencies: Latencies, convergences: Latencies
    ) -> bool:
        """Take a state; returns whether it is another version than before.

        Args:
            document: The state.
            now: When it arrived.
            latencies: Takes how long ago a report was published that this state has.
            convergences: Takes for how long something was outstanding that is met now.
        """
        version, reported, desired, online, at = (
            document.get(key) for key in ("version", "reported", "desired", "online", "at")
        )
        if not isinstance(version, int) or version == self.version:
            return False
        if not isinstance(reported, dict) or not isinstance(desired, dict):
            return False
        if version < self.version:
            self.went_back += 1
            self._arrivals.clear()
        self.version, self.reported, self.desired = version, reported, desired
        self.online = online if isinstance(online, bool) else None
        self.at = at if isinstance(at, int) else 0
        self._arrivals.append((version, now))
        self._note_outstanding(now, convergences)
        while self._waiting and self._waiting[0][0] <= version:
            latencies.add(now - self._waiting.popleft()[1])
        return True

    def _note_outstanding(self, now: float, convergences: Latencies) -> None:
        is_outstanding = any(
            not equal_by_value(wanted, at_path(self.reported, path))
            for path, wanted in leaves(self.desired)
        )
        if is_outstanding and self.outstanding_since is None:
            self.outstanding_since = now
        elif not is_outstanding and self.outstanding_since is not None:
            convergences.add(now - self.outstanding_since)
            self.outstanding_since = None

    def cleared(self) -> None:
        """Take that nothing is retained any more: the twin was deleted."""
        self.reported, self.desired = {}, {}

    def acknowledged(self, version: int, sent_at: float, latencies: Latencies) -> None:
        """Take the version of the reply to a report that changed something, and its time."""
        for arrived, at in self._arrivals:
            if arrived >= version and at >= sent_at:
                latencies.add(at - sent_at)
                return
        self._waiting.append((version, sent_at))
