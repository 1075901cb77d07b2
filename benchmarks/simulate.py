"""Random histories, as many as wanted, on the core and on the model of the tests, side by side.

    python -m benchmarks.simulate --histories 1000000 --seed 1

Each history is a number: the same seed and index are the same history, on every machine. One on
which the core and the model differ is made as small as it gets, and printed as a test case.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.arguments import bounded
from tests.reference.histories import play
from tests.reference.shrinking import as_test, failure, shrink
from tests.reference.steps import Reload

HISTORIES_AT_ONCE: Final = 250
"""Histories that a process is given at a time: about a second's work."""

HISTORIES_AT_MOST: Final = 10**9
SHOWN_AT_MOST: Final = 3
"""Failing histories that are made small and printed: the others mostly have the same cause."""

EXIT_OK: Final = 0
EXIT_DIVERGED: Final = 1


class Work(NamedTuple):
    """A run of histories for one process."""

    seed: int
    first: int
    count: int


class Result(NamedTuple):
    """What came of one run of histories: how much, and the indexes that failed."""

    histories: int
    messages: int
    failed: list[int]


def simulate(work: Work) -> Result:
    """Play a run of histories."""
    messages = 0
    failed = []
    for index in range(work.first, work.first + work.count):
        history, reason = play(work.seed, index)
        messages += sum(not isinstance(step, Reload) for step in history.steps)
        if reason is not None:
            failed.append(index)
    return Result(work.count, messages, failed)


def portions(seed: int, first: int, histories: int) -> Iterator[Work]:
    """Yield the work in portions."""
    end = first + histories
    for start in range(first, end, HISTORIES_AT_ONCE):
        yield Work(seed, start, min(HISTORIES_AT_ONCE, end - start))


def run(seed: int, first: int, histories: int, jobs: int, progress: Progress) -> Result:
    """Play all histories, on as many cores as there are jobs."""
    task = progress.add_task("histories", total=histories)
    work = portions(seed, first, histories)
    if jobs == 1:
        return _gather(map(simulate, work), progress, task)
    # Fresh processes: nothing of this one, such as its progress bar's thread, is in them.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return _gather(pool.imap_unordered(simulate, work), progress, task)


def _gather(results: Iterable[Result], progress: Progress, task: int) -> Result:
    total = Result(0, 0, [])
    for result in results:
        total = Result(
            total.histories + result.histories,
            total.messages + result.messages,
            [*total.failed, *result.failed],
        )
        # At once: a run that is interrupted later has still said what it found.
        for index in result.failed:
            progress.console.print(f"history {index} differs")
        progress.update(
            task, completed=total.histories, description=f"{len(total.failed)} divergences"
        )
    return total


def show(seed: int, index: int) -> None:
    """Print a failing history as a test case, as small as it gets."""
    history, reason = play(seed, index)
    small = shrink(history)
    print(f"\nSeed {seed}, history {index}: {len(history.steps)} steps, {len(small.steps)} needed.")
    print(as_test(small, failure(small) or reason or "", f"history_{seed}_{index}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulation.

    Returns:
        Exit status: 1 if the core and the model differ somewhere.
    """
    arguments = _arguments(argv)
    started = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # The bar is for people: what is printed on stdout is the outcome.
    with Progress(*columns, console=Console(stderr=True)) as progress:
        total = run(arguments.seed, arguments.first, arguments.histories, arguments.jobs, progress)
    for index in sorted(total.failed)[:SHOWN_AT_MOST]:
        show(arguments.seed, index)
    seconds = time.monotonic() - started
    print(
        f"seed {arguments.seed}: {total.histories} histories, {total.messages} messages, "
        f"{len(total.failed)} divergences, {seconds:.0f} s"
    )
    return EXIT_DIVERGED if total.failed else EXIT_OK


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hold the core against the model of the tests.")
    parser.add_argument(
        "--histories", type=bounded(1, HISTORIES_AT_MOST), default=20_000, help="how many"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all of them")
    parser.add_argument(
        "--first", type=bounded(0, HISTORIES_AT_MOST), default=0, help="index of the first"
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser.add_argument(
        "--jobs", type=bounded(1, 1024), default=cores or 1, help="processes at once"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
