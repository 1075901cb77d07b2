"""What the history costs: the write path with it, next to the same without it.

Both write the same messages into stores of their own: decoded, reconciled, encoded, and committed
to the disk, one batch after the other and in turn. Nothing else of a bridge is there, so that the
history's share is as large as it can be.

    python -m benchmarks.history_cost --devices 200 --batches 100 --json history.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.arguments import bounded
from benchmarks.ordinary_twin import updates
from benchmarks.report import save_json
from bridge.core.limits import Limits
from bridge.core.reconcile import Change
from bridge.core.update import Update
from bridge.service.cache import TwinCache
from bridge.service.cached_twin import CachedTwin
from bridge.service.changes import Changes
from bridge.service.effects import Effects
from bridge.store.base import StoreLimits
from bridge.store.sqlite import SqliteStore
from bridge.wire.inbound import decode_body

SHARE_AT_MOST: Final = 0.4
"""Of the write path's time, that the history may take."""

WARM_UP: Final = 10
"""Batches before the first that counts: twins are made in them, and tables grow."""

_LIMITS: Final = Limits()
_ROOM: Final = 2**40


class Spent(NamedTuple):
    """Microseconds for one update: by the clock on the wall, and of the processor."""

    wall: float
    processor: float


class Forgetful(Effects):
    """Effects without a history."""

    def remember(self, cached: CachedTwin, change: Change) -> None:
        """Remember nothing."""


class WritePath:
    """From a message's bytes to the disk.

    Args:
        path: A new store.
        devices: How many write in turn, once in each batch.
        history: Keep one.
    """

    def __init__(self, path: Path, devices: int, *, history: bool) -> None:
        self._make_effects = Effects if history else Forgetful
        changes = StoreLimits().history_changes if history else 0
        self.store = SqliteStore.open(path, limits=StoreLimits(history_changes=changes))
        self._cache = TwinCache(_ROOM)
        self._clock = 0
        self._changes = Changes(_LIMITS, self._cache, lambda: self._clock)
        self._devices = [updates(number) for number in range(devices)]

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def write(self) -> Spent:
        """Write one batch, an update of each device, and measure it."""
        batch = [next(device) for device in self._devices]
        wall, processor = time.perf_counter_ns(), time.process_time_ns()
        effects = self._make_effects()
        for clock, update in batch:
            self._clock = clock
            if update.key not in self._cache:
                self._cache.put(update.key, None)
            self._changes.by_message(self._cache.use(update.key), _decoded(update), effects)
        self.store.commit(effects.encode())
        for change in effects.twins:
            change.cached.revision += 1
            self._cache.measure(change.cached.twin.key)
        self._cache.shrink()
        spent = time.perf_counter_ns() - wall, time.process_time_ns() - processor
        return Spent(*(ns / 1000 / len(batch) for ns in spent))


def _decoded(update: Update) -> Update:
    """Return the update as its bytes say: decoding is a part of the path."""
    body = decode_body(update.payload, _LIMITS)
    return update._replace(patch=body.state, metadata=body.metadata)


def measure(devices: int, batches: int) -> dict[str, Spent]:
    """Return the median over the batches, without and with a history."""
    with tempfile.TemporaryDirectory() as directory:
        paths = {
            name: WritePath(Path(directory) / f"{name}.db", devices, history=name == "with")
            for name in ("without", "with")
        }
        taken: dict[str, list[Spent]] = {name: [] for name in paths}
        for _ in range(WARM_UP + batches):
            for name, path in paths.items():
                taken[name].append(path.write())
        for path in paths.values():
            path.close()
    return {
        name: Spent(*(median(column) for column in zip(*spent[WARM_UP:], strict=True)))
        for name, spent in taken.items()
    }


def share(without: float, with_history: float) -> float:
    """Return the history's share of the time of a path that has one."""
    return 1 - without / with_history


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; ends with 1 if the history takes more than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history_cost", description=__doc__)
    parser.add_argument("--devices", type=bounded(1, 100_000), default=200)
    parser.add_argument("--batches", type=bounded(1, 10_000), default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    spent = measure(options.devices, options.batches)
    print(f"{'µs for one update':>24} {'wall':>8} {'processor':>10}")
    for name, figures in spent.items():
        print(f"{name + ' history':>24} {figures.wall:8.1f} {figures.processor:10.1f}")
    shares = Spent(*map(share, spent["without"], spent["with"]))
    print(f"{'share of the history':>24} {shares.wall:8.0%} {shares.processor:10.0%}")
    if options.json is not None:
        save_json(options.json, {name: figures._asdict() for name, figures in spent.items()})
    return 0 if shares.wall <= SHARE_AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
