"""Resident memory of what is measured."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os

import pytest

from benchmarks import memory
from benchmarks.memory import growth, resident_mib, sample


def test_the_peak_is_not_below_what_is_resident() -> None:
    """And what this process takes is seen."""
    before, _ = resident_mib(os.getpid())
    # Not from Python's own memory, of which some may lie idle in a long run of tests.
    with mmap.mmap(-1, 32 * 1024**2) as ballast:
        for start in range(0, len(ballast), mmap.PAGESIZE):
            ballast[start] = 1
        resident, peak = resident_mib(os.getpid())
    assert 20 < resident - before < 60
    assert peak >= resident - 1  # the kernel counts some pages late


@pytest.mark.parametrize(
    ("samples_mib", "expected"),
    [([100.0], 1.0), ([100.0] * 50, 1.0), ([float(mib) for mib in range(100, 200)], 189.5 / 109.5)],
)
def test_growth_is_the_end_by_the_beginning(samples_mib: list[float], expected: float) -> None:
    """Medians of a fifth each, so that one sample does not count."""
    assert growth(samples_mib) == expected


async def test_samples_are_taken_until_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once."""
    monkeypatch.setattr(memory, "SAMPLE_INTERVAL_S", 0.001)
    samples_mib: list[float] = []
    task = asyncio.ensure_future(sample(os.getpid(), samples_mib))
    while len(samples_mib) < 3:
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert all(mib > 1 for mib in samples_mib)
