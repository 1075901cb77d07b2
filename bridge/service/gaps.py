"""When to ask a device for what has not arrived (design section 4, "Gaps").

Nothing here waits or sends: what has been heard goes in with the time, and what is due comes out.
Times are in s, on any clock that does not go back.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final, NamedTuple, TypeAlias

from bridge.core.topics import TwinKey
from bridge.core.update import Boot

INTERVAL_MAX_S: Final = 24 * 3600.0
"""The longest pause before a device that does not answer is asked again: it costs one message a
day."""

WATCHED_TWINS: Final = 10_000
"""Twins with gaps that are remembered. Beyond that the one that was silent longest is forgotten;
its gap is known to the store, and seen again when the device is next heard."""

LONGEST_WAIT: Final = 2
"""Timeouts after which a twin is asked, even if what it lacked at first has come meanwhile."""

_HEAP_SLACK: Final = 64
"""Outdated deadlines that may lie in the heap beside twice the valid ones."""

Missing: TypeAlias = tuple[tuple[int, int], ...]
"""Runs of `seq` that have not arrived, each first and last, lowest first."""


class Gap(NamedTuple):
    """What is missing of a twin's reports: the boot, and the runs of its numbers."""

    key: TwinKey
    boot: Boot
    missing: Missing


class _Watch:
    """What is known of one twin.

    Attributes:
        boot: The boot whose messages are missing.
        missing: What is missing of it; nothing while the twin rests after its answer.
        awaited: The highest number that the deadline is about; what is missing above it is newer.
        opened_at: Since when something is missing without a break.
        due: When to ask; for a twin that rests, when to forget it.
        asked_at: When it was asked last, or None.
        interval_s: How long to wait before it is asked again.
    """

    __slots__ = ("asked_at", "awaited", "boot", "due", "interval_s", "missing", "opened_at")

    def __init__(self, boot: Boot, missing: Missing, now: float, interval_s: float) -> None:
        self.boot = boot
        self.missing = missing
        self.awaited = missing[-1][1]
        self.opened_at = now
        self.due = now
        self.asked_at: float | None = None
        self.interval_s = interval_s


class Gaps:
    """The twins whose reports have gaps, and when each is to be asked.

    A gap that stays open for `timeout_s` makes its device be asked; then again after `interval_s`,
    and after twice as long each time while it does not answer. One that has answered is not asked
    sooner either; its answer is a report after which nothing is missing, such as a full one.

    Args:
        timeout_s: How long a late message is waited for.
        interval_s: The shortest time between two questions to one twin.
    """

    def __init__(self, timeout_s: float, interval_s: float) -> None:
        self._timeout_s = timeout_s
        self._interval_s = interval_s
        # The one that was silent longest first.
        self._watched: OrderedDict[TwinKey, _Watch] = OrderedDict()
        self._deadlines: list[tuple[float, TwinKey]] = []
        self._not_before = float("-inf")

    def __contains__(self, key: TwinKey) -> bool:
        """Tell whether anything is known of a twin."""
        return key in self._watched

    def __len__(self) -> int:
        """Return how many twins are remembered."""
        return len(self._watched)

    def note(self, key: TwinKey, boot: Boot, missing: Missing, now: float) -> None:
        """Take note of what is missing after a report of a twin; of nothing, if it is complete."""
        watch = self._watched.get(key)
        if not missing:
            if watch is not None:
                self._close(key, watch)
            return
        if watch is None:
            self._open(key, boot, missing, now)
            return
        self._watched.move_to_end(key)
        if not watch.missing or watch.boot != boot:
            # It was complete in between, or began anew.
            watch.awaited, watch.opened_at = missing[-1][1], now
            watch.interval_s = self._interval_s
            self._set_due(key, watch, max(now + self._timeout_s, self._earliest(watch)))
        elif watch.asked_at is None and missing[0][0] > watch.awaited:
            # None of what was waited for is missing any more: this is another gap. But a twin
            # that always lacks something is not waited for without end.
            watch.awaited = missing[-1][1]
            latest = watch.opened_at + LONGEST_WAIT * self._timeout_s
            self._set_due(key, watch, min(now + self._timeout_s, latest))
        watch.boot, watch.missing = boot, missing

    def _open(self, key: TwinKey, boot: Boot, missing: Missing, now: float) -> None:
        if len(self._watched) >= WATCHED_TWINS:
            self._watched.popitem(last=False)
        watch = _Watch(boot, missing, now, self._interval_s)
        self._watched[key] = watch
        self._set_due(key, watch, now + self._timeout_s)

    def _close(self, key: TwinKey, watch: _Watch) -> None:
        """Forget a twin that is complete, as soon as it may be asked again."""
        if watch.asked_at is None:
            del self._watched[key]
        elif watch.missing:
            watch.missing = ()
            self._set_due(key, watch, self._earliest(watch))

    def _earliest(self, watch: _Watch) -> float:
        """Return when a twin may be asked again that has answered."""
        return float("-inf") if watch.asked_at is None else watch.asked_at + self._interval_s

    def forget(self, key: TwinKey) -> None:
        """Forget a twin: it has been deleted, or its numbers are not remembered any more."""
        self._watched.pop(key, None)

    def wait_anew(self, now: float) -> None:
        """Ask nobody before the timeout from now: what waited at the broker is only coming in."""
        self._not_before = now + self._timeout_s

    def next_at(self) -> float | None:
        """Return when something is to be done, or None."""
        while self._deadlines and not self._is_valid(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return max(self._deadlines[0][0], self._not_before) if self._deadlines else None

    def take_due(self, now: float) -> Gap | None:
        """Return one twin that is to be asked now, which counts as asked; None if there is none."""
        while (next_at := self.next_at()) is not None and next_at <= now:
            _, key = heapq.heappop(self._deadlines)
            watch = self._watched[key]
            if not watch.missing:
                del self._watched[key]
                continue
            self._note_asked(key, watch, now)
            return Gap(key, watch.boot, watch.missing)
        return None

    def note_asked(self, key: TwinKey, now: float) -> None:
        """Take note that a twin was asked for another reason than its gap."""
        watch = self._watched.get(key)
        if watch is not None and watch.missing:
            self._note_asked(key, watch, now)

    def _note_asked(self, key: TwinKey, watch: _Watch, now: float) -> None:
        watch.asked_at = now
        self._set_due(key, watch, now + watch.interval_s)
        watch.interval_s = min(2 * watch.interval_s, max(INTERVAL_MAX_S, self._interval_s))

    def _set_due(self, key: TwinKey, watch: _Watch, due: float) -> None:
        watch.due = due
        heapq.heappush(self._deadlines, (due, key))
        if len(self._deadlines) > 2 * len(self._watched) + _HEAP_SLACK:
            self._deadlines = [(watch.due, key) for key, watch in self._watched.items()]
            heapq.heapify(self._deadlines)

    def _is_valid(self, due: float, key: TwinKey) -> bool:
        watch = self._watched.get(key)
        return watch is not None and watch.due == due
