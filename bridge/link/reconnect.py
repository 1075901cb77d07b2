"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def backoff(minimum_s: float, maximum_s: float, random: Random) -> Iterator[float]:
    """Yield pauses in seconds, for ever, each from the upper half of a range that doubles.

    The first is between `minimum_s` and twice that; none is below `minimum_s` or above
    `maximum_s`. The jitter keeps bridges that lost the same broker from coming back together.

    Args:
        minimum_s: Shortest pause, above 0.
        maximum_s: Longest pause, at least `minimum_s`.
        random: Where the jitter comes from.
    """
    longest_s = min(2 * minimum_s, maximum_s)
    while True:
        yield random.uniform(max(minimum_s, longest_s / 2), longest_s)
        longest_s = min(2 * longest_s, maximum_s)
