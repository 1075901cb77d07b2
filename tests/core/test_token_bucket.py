"""Token buckets: what they let through, and what they remember."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.core.token_bucket import TokenBuckets


@given(
    st.integers(1, 1000),
    st.integers(1, 50),
    st.lists(st.integers(0, 500_000), min_size=1, max_size=200),
)
def test_a_bucket_lets_through_what_a_count_of_tokens_does(
    per_s: int, burst: int, pauses: list[int]
) -> None:
    """Against tokens counted in whole millionths: never more, and after the wait one more."""
    buckets = TokenBuckets(per_s, burst, 10)
    tokens, clock = burst * 1_000_000, 1_000_000
    for pause in pauses:
        clock += pause
        tokens = min(burst * 1_000_000, tokens + pause * per_s)
        wait_us = buckets.take("a", clock)
        if wait_us:
            assert tokens < 1_000_000
            assert abs(wait_us * per_s - (1_000_000 - tokens)) <= 2 * per_s
        else:
            assert tokens >= 1_000_000 - 2 * per_s
            tokens -= 1_000_000


def test_buckets_are_bounded_and_a_full_one_is_forgotten() -> None:
    """The least recently used goes first; after its refill nothing is left of the rest."""
    buckets = TokenBuckets(1, 1, 2)
    assert [buckets.take(key, 10) for key in "abc"] == [0, 0, 0]
    assert len(buckets) == 2
    assert buckets.take("c", 10) > 0
    assert buckets.take("a", 10) == 0, "it was forgotten"
    assert buckets.take("d", 10_000_000) == 0
    assert len(buckets) == 1


def test_a_clock_set_back_costs_no_more_than_an_empty_bucket() -> None:
    """A writer waits for one token, not for the clock."""
    buckets = TokenBuckets(2, 3, 10)
    assert buckets.take("a", 10**15) == 0
    assert buckets.take("a", 10) == 500_000
    assert buckets.take("a", 500_010) == 0
