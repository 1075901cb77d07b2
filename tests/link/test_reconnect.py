"""The pauses between attempts to connect."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.link.reconnect import backoff


class _Extreme(Random):
    """Draws one end of every range."""

    def __init__(self, *, highest: bool) -> None:
        super().__init__()
        self._highest = highest

    def uniform(self, a: float, b: float) -> float:
        return b if self._highest else a


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(True, [0.4, 0.8, 1.6, 3.0, 3.0]), (False, [0.2, 0.4, 0.8, 1.5, 1.5])],
)
def test_pauses_double_up_to_the_longest(*, highest: bool, expected: list[float]) -> None:
    """Both ends of the range from which each pause is drawn."""
    pauses = backoff(0.2, 3.0, _Extreme(highest=highest))

    assert list(islice(pauses, 5)) == pytest.approx(expected)


@given(minimum_s=st.floats(0.001, 100), factor=st.floats(1, 1000), seed=st.integers(0, 2**32))
def test_every_pause_lies_within_the_bounds(minimum_s: float, factor: float, seed: int) -> None:
    """Whatever the bounds, equal ones too."""
    maximum_s = minimum_s * factor

    pauses = islice(backoff(minimum_s, maximum_s, Random(seed)), 20)

    assert all(minimum_s <= pause <= maximum_s for pause in pauses)


def test_two_bridges_do_not_come_back_together() -> None:
    """With different sources of chance the pauses differ."""
    one, other = (list(islice(backoff(1, 30, Random(seed)), 10)) for seed in (1, 2))

    assert not set(one) & set(other)
