"""What an ordinary twin takes in the store and in memory, next to its JSON on `state`.

Memory is counted by `tracemalloc` over many twins in the service's cache: keys, the cache's own
tables and all that hangs on them.

    python -m benchmarks.twin_memory --twins 2000 --json memory.json
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.ordinary_twin import FIELDS, MESSAGES, key_of, ordinary_twin, updates
from benchmarks.report import save_json
from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.service.cache import TwinCache
from bridge.service.effects import Effects
from bridge.store.base import StoredTwin
from bridge.store.codec import encode_internals
from bridge.wire import outbound

STORED_AT_MOST: Final = 3.0
IDLE_AT_MOST: Final = 4.0
WRITTEN_AT_MOST: Final = 15.0
"""Times the twin's JSON: in the store, in memory, and in memory while it is being written."""

WRITES: Final = 15
"""Messages taken into a twin that is being written: after so many, most fields are new."""

_ROOM: Final = 2**40
_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes for one twin, on average.

    Attributes:
        json: Its JSON on `state`.
        stored: State, delta and internals in the store.
        idle: In memory, while nobody writes it.
        written: In memory, while it is being written.
        idle_estimate: What the cache counts for an idle one.
        written_estimate: What the cache counts for one that is being written.
    """

    json: float
    stored: float
    idle: float
    written: float
    idle_estimate: float
    written_estimate: float


def stored_row(number: int) -> StoredTwin:
    """Return a station's row in the store."""
    twin = ordinary_twin(number)
    delta = twin.delta()
    return StoredTwin(
        twin.key,
        MESSAGES,
        twin.version,
        twin.version,
        twin.exists,
        twin.at,
        outbound.state_json(twin),
        outbound.delta_json(twin, delta) if delta else None,
        encode_internals(twin),
    )


def _idle(rows: Sequence[StoredTwin]) -> tuple[float, float]:
    """Return what twins take that are only kept, and what the cache counts for them."""
    cache = TwinCache(_ROOM, decoded_share=0.0)
    size_bytes = _traced(lambda: _take_in(cache, rows))
    return size_bytes / len(rows), cache.memory_bytes / len(rows)


def _written(rows: Sequence[StoredTwin]) -> tuple[float, float]:
    """Return what twins take that have been written since they were read, and what is counted."""
    cache = TwinCache(_ROOM, decoded_share=1.0)

    def work() -> None:
        _take_in(cache, rows)
        for number in range(len(rows)):
            _write(cache, number)

    size_bytes = _traced(work)
    return size_bytes / len(rows), cache.memory_bytes / len(rows)


def _take_in(cache: TwinCache, rows: Sequence[StoredTwin]) -> None:
    for number, row in enumerate(rows):
        cache.put(key_of(number), row)
        cache.shrink()


def _write(cache: TwinCache, number: int) -> None:
    """Take more messages into a twin, each as a batch of the pipeline does."""
    for clock, update in islice(updates(number), MESSAGES, MESSAGES + WRITES):
        cached = cache.use(update.key)
        outcome = reconcile(cached.twin, update, clock, _LIMITS)
        effects = Effects()
        effects.changed(cached, version=outcome.changed, clear=False)
        effects.encode()
        cached.revision += 1
        cache.measure(update.key)
        cache.shrink()


def _traced(work: Callable[[], None]) -> int:
    """Return by how many bytes some work makes the memory of this process grow."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def measure(twins: int) -> Sizes:
    """Measure so many twins; the first one warms up what they share."""
    rows = [stored_row(number) for number in range(twins)]
    _written(rows[:1])
    idle, idle_estimate = _idle(rows)
    written, written_estimate = _written(rows)
    return Sizes(
        sum(len(row.state) for row in rows) / twins,
        sum(len(row.state) + len(row.delta or b"") + len(row.internals) for row in rows) / twins,
        idle,
        written,
        idle_estimate,
        written_estimate,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns 1 where a twin takes more than it may."""
    parser = argparse.ArgumentParser(prog="twin_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--twins", type=bounded(100, 100_000), default=2000)
    parser.add_argument("--json", type=Path, help="save the figures to this file")
    options = parser.parse_args(arguments)
    sizes = measure(options.twins)
    print(f"an ordinary twin of {FIELDS} fields: {sizes.json:.0f} bytes of JSON")
    fits = [
        _print_line("in the store", sizes.stored, sizes.json, STORED_AT_MOST),
        _print_line("in memory", sizes.idle, sizes.json, IDLE_AT_MOST),
        _print_line("in memory, being written", sizes.written, sizes.json, WRITTEN_AT_MOST),
    ]
    print(
        f"the cache counts {sizes.idle_estimate:.0f} and {sizes.written_estimate:.0f} bytes "
        "for the last two"
    )
    if options.json is not None:
        save_json(options.json, asdict(sizes))
    return 0 if all(fits) else 1


def _print_line(name: str, size_bytes: float, json_bytes: float, at_most: float) -> bool:
    times = size_bytes / json_bytes
    print(f"{name:>26}: {size_bytes:6.0f} bytes, {times:5.2f} x; at most {at_most:.0f} x")
    return times <= at_most


if __name__ == "__main__":
    sys.exit(main())
