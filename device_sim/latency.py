"""Latencies, counted in buckets, so that an endless run needs no more memory than a short one."""

from __future__ import annotations

import math
from collections import Counter

_BUCKETS_PER_E_FOLD = 100
"""Neighbouring buckets lie 1 % apart: finer than two runs ever agree."""

_SHORTEST_S = 1e-6
"""What is shorter counts as this; it also bounds the number of buckets, to about 2,500 a day."""


class Latencies:
    """A distribution of durations in seconds, exact to 1 %."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.longest_s = 0.0
        self._taken: Counter[int] = Counter()

    def add(self, duration_s: float) -> None:
        """Count one."""
        bucket = math.log(max(duration_s, _SHORTEST_S) / _SHORTEST_S) * _BUCKETS_PER_E_FOLD
        self._buckets[round(bucket)] += 1
        self.count += 1
        self.longest_s = max(self.longest_s, duration_s)

    def take_recent(self) -> Latencies:
        """Return those that were added since the last call; their longest is that of all."""
        recent = Latencies()
        recent._buckets = self._buckets - self._taken
        recent.count = recent._buckets.total()
        recent.longest_s = self.longest_s
        self._taken = self._buckets.copy()
        return recent

    def quantile_s(self, share: float) -> float | None:
        """Return the duration that `share` (0 to 1) of all do not exceed; None without any."""
        rank = math.ceil(share * self.count)
        passed = 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed >= rank:
                return _SHORTEST_S * math.exp(bucket / _BUCKETS_PER_E_FOLD)
        return None
