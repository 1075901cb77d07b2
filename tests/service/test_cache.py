"""The cache forgets the least recently used twins, by their size."""

from __future__ import annotations

from bridge.core.topics import TwinKey
from bridge.service.cache import MEMORY_PER_STORED_BYTE, MEMORY_PER_TWIN, TwinCache


def filled(sizes: dict[str, int], limit_bytes: int) -> TwinCache:
    """A cache with twins whose JSON has these sizes, put in this order."""
    cache = TwinCache(limit_bytes)
    for device, size in sizes.items():
        cached = cache.put(TwinKey(device), None)
        cached.state = b"x" * size
        cache.measure(TwinKey(device))
    return cache


def test_the_least_recently_used_twin_goes_first() -> None:
    """Using one keeps it."""
    room = 2 * MEMORY_PER_TWIN
    cache = filled({"a": 0, "b": 0, "c": 0}, room)
    cache.use(TwinKey("a"))
    cache.shrink()
    assert cache.missing([TwinKey("a"), TwinKey("b"), TwinKey("c")]) == [TwinKey("b")]


def test_a_twin_that_grows_is_measured_again() -> None:
    """And a large one makes several small ones go."""
    cache = filled({"a": 10, "b": 10, "c": 10}, 4 * MEMORY_PER_TWIN + 2000)
    cache.shrink()
    assert not cache.missing([TwinKey("a"), TwinKey("b"), TwinKey("c")])
    cache.use(TwinKey("c")).state = b"x" * (2 * MEMORY_PER_TWIN // MEMORY_PER_STORED_BYTE)
    cache.measure(TwinKey("c"))
    cache.shrink()
    assert cache.missing([TwinKey("a"), TwinKey("b"), TwinKey("c")]) == [TwinKey("a")]


def test_a_dropped_twin_takes_no_room() -> None:
    """Dropping what is not there is allowed."""
    cache = filled({"a": 1000, "b": 0}, MEMORY_PER_TWIN)
    cache.drop([TwinKey("a"), TwinKey("unknown")])
    cache.shrink()
    assert cache.get(TwinKey("b")) is not None
