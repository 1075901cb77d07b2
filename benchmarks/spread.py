"""How times are spread, in few figures."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile; with few values the nearest one there is.

    Raises:
        ValueError: There are no values.
    """
    if len(values) == 1:
        return values[0]
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def spread_ms(values: Sequence[float]) -> str:
    """Return median, p99 and the largest of times, in ms."""
    if not values:
        return "none"
    p99 = percentile(values, 99)
    return (
        f"p50 {1000 * median(values):.1f}, p99 {1000 * p99:.1f}, max {1000 * max(values):.1f} "
        f"of {len(values)}"
    )
