"""CPU time of `reconcile`, next to a merge of plain dicts that remembers nothing.

The cases take turns in short slices, and the fastest slice of each counts: what else the machine
does then falls on all of them, and on none for long.

    python -m benchmarks.core_cost --rounds 50 --json cost.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.arguments import bounded
from benchmarks.report import save_json
from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.reconcile import reconcile
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import FRESH, NO_METADATA, Metadata, Update

SLICE: Final = 200
"""Updates measured at once: some milliseconds."""

BATCH: Final = 20
"""Updates of a twin after which its exact size is known again, as after a commit."""

NOW: Final = 1_795_000_000_000_000
LIMITS: Final = Limits()
PAYLOAD: Final = b"x" * 150
KEY: Final = TwinKey("lamp-1")

Slice = Callable[[], float]
"""Measures a slice; returns µs of CPU for one update."""


def patch_of(number: int, fields: int, of_fields: int) -> JsonObject:
    """Return a patch that sets some fields of a twin to new values."""
    start = number * fields
    return {f"field_{(start + n) % of_fields}": start + n + 0.5 for n in range(fields)}


class Reconciling:
    """Updates of one twin through the core."""

    def __init__(
        self,
        fields: int,
        of_fields: int,
        *,
        numbered: bool = False,
        seen: bool = False,
        policies: Policies = NO_POLICIES,
    ) -> None:
        self._twin = Twin(KEY, policies)
        self._fields, self._of_fields = fields, of_fields
        self._numbered, self._seen = numbered, seen
        self._number = 0
        self._clock = NOW
        whole = {f"field_{n}": n for n in range(of_fields)}
        first = Update(KEY, "reported", "lamp-1", whole, NO_METADATA, PAYLOAD)
        reconcile(self._twin, first, self._clock, LIMITS)

    def __call__(self) -> float:
        """Measure a slice."""
        spent = 0.0
        for _ in range(SLICE // BATCH):
            updates = [self._update() for _ in range(BATCH)]
            start = time.process_time_ns()
            for update in updates:
                self._clock += 1000
                reconcile(self._twin, update, self._clock, LIMITS)
            spent += time.process_time_ns() - start
            # As after a commit, which knows the exact size of what it has written.
            self._twin.bytes_at_most = self._twin.keys_at_most = 0
        return spent / SLICE / 1000

    def _update(self) -> Update:
        self._number += 1
        patch = patch_of(self._number, self._fields, self._of_fields)
        boot, seq = ("9f31c0de", self._number) if self._numbered else (None, None)
        seen = self._twin.version if self._seen else None
        metadata = Metadata(boot=boot, seq=seq, seen=seen)
        return Update(KEY, "reported", "lamp-1", patch, metadata, PAYLOAD, FRESH, len(PAYLOAD))


class PlainMerging:
    """The same patches merged into a dict (RFC 7396), and nothing else."""

    def __init__(self, fields: int, of_fields: int) -> None:
        self._document: JsonObject = {f"field_{n}": n for n in range(of_fields)}
        self._fields, self._of_fields = fields, of_fields
        self._number = 0

    def __call__(self) -> float:
        """Measure a slice."""
        patches = []
        for _ in range(SLICE):
            self._number += 1
            patches.append(patch_of(self._number, self._fields, self._of_fields))
        start = time.process_time_ns()
        for patch in patches:
            merge_patch(self._document, patch)
        return (time.process_time_ns() - start) / SLICE / 1000


def merge_patch(target: JsonObject, patch: JsonObject) -> None:
    """Merge as RFC 7396 says, in place."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            below = target.get(name)
            if not isinstance(below, dict):
                below = target[name] = {}
            merge_patch(below, value)
        else:
            target[name] = value


REFERENCE: Final = "plain dict, 5 of 20 fields"


def cases() -> dict[str, Slice]:
    """Return what is measured, by name; the first is the reference."""
    elsewhere = Policies.parse({"*": {"desired.**": "refuse", "reported.count.*": "sum"}}, LIMITS)
    own = Policies.parse({"*": {"reported.*": "max"}}, LIMITS)
    return {
        REFERENCE: PlainMerging(5, 20),
        "5 of 20 fields": Reconciling(5, 20),
        "5 of 20, boot and seq": Reconciling(5, 20, numbered=True),
        "5 of 20, boot, seq and seen": Reconciling(5, 20, numbered=True, seen=True),
        "5 of 20, policies on other paths": Reconciling(5, 20, policies=elsewhere),
        "5 of 20, all of them max": Reconciling(5, 20, policies=own),
        "5 of 1,000 fields": Reconciling(5, 1000),
        "20 of 1,000 fields": Reconciling(20, 1000),
        "80 of 1,000 fields": Reconciling(80, 1000),
    }


def measure(rounds: int) -> dict[str, float]:
    """Return µs of CPU for one update of each case."""
    measured = cases()
    fastest = dict.fromkeys(measured, float("inf"))
    for _ in range(rounds):
        for name, take_slice in measured.items():
            fastest[name] = min(fastest[name], take_slice())
    return fastest


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.core_cost", description=__doc__)
    parser.add_argument("--rounds", type=bounded(1, 10_000), default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    figures = measure(options.rounds)
    reference = figures[REFERENCE]
    print(f"{'µs of CPU for one update':>34} {'µs':>8} {'times plain':>14}")
    for name, microseconds in figures.items():
        print(f"{name:>34} {microseconds:8.2f} {microseconds / reference:14.1f}")
    size = figures["5 of 1,000 fields"] / figures["5 of 20 fields"]
    print(f"{'1,000 fields against 20':>34} {size:8.2f}")
    if options.json is not None:
        save_json(options.json, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
