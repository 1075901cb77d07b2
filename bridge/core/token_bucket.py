"""Token buckets: how fast each of many writers may send, in bounded memory.

A bucket holds tokens up to its burst and gains some every second; a message takes one. Time is an
argument. A bucket is kept as the moment at which it is full again, so a full one needs no entry.
"""

from __future__ import annotations

from collections import OrderedDict


class TokenBuckets:
    """A bucket for each key; the least recently used goes first, and is full when it comes back.

    Args:
        per_s: Tokens that a bucket gains in a second, more than 0.
        burst: Tokens in a full bucket, at least 1.
        capacity: Buckets remembered.
    """

    def __init__(self, per_s: float, burst: int, capacity: int) -> None:
        self._token_us = 1_000_000 / per_s
        self._burst_us = burst * self._token_us
        self._capacity = capacity
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many buckets are remembered."""
        return len(self._full_at)

    def take(self, key: str, clock: int) -> float:
        """Take a token.

        Args:
            key: Whose bucket.
            clock: Time in µs. Where it was set back, a bucket is at worst empty at the new time.

        Returns:
            0 where there was one, otherwise in how many µs there will be; nothing is taken then.
        """
        # Set back, the clock must not make a writer wait for longer than an empty bucket does.
        full_at = min(max(self._full_at.pop(key, 0.0), clock), clock + self._burst_us)
        filled = full_at + self._token_us
        # A token's part that rounding has lost is no reason to refuse.
        wait_us = filled - clock - self._burst_us
        if wait_us < 1:
            full_at, wait_us = filled, 0.0
        self._full_at[key] = full_at
        if len(self._full_at) > self._capacity:
            self._full_at.popitem(last=False)
        self._forget_full(clock)
        return wait_us

    def _forget_full(self, clock: int) -> None:
        """Forget the least recently used while it is full."""
        while self._full_at and next(iter(self._full_at.values())) <= clock:
            self._full_at.popitem(last=False)
