"""What a process takes from the machine, over time, on Linux."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.memory import resident_mib
from benchmarks.processes import cpu_seconds

SAMPLE_INTERVAL_S: Final = 0.5


class Vitals(NamedTuple):
    """One look at a process.

    Attributes:
        at: When, on the clock of `time.monotonic`, in s.
        resident_mib: Resident memory.
        descriptors: Open file descriptors.
        threads: Threads.
        cpu_s: Processor time used so far.
    """

    at: float
    resident_mib: float
    descriptors: int
    threads: int
    cpu_s: float


def look(pid: int) -> Vitals:
    """Look at a process.

    Raises:
        OSError: There is no such process, or no /proc.
    """
    process = Path(f"/proc/{pid}")
    return Vitals(
        time.monotonic(),
        resident_mib(pid)[0],
        sum(1 for _ in (process / "fd").iterdir()),
        sum(1 for _ in (process / "task").iterdir()),
        cpu_seconds(pid),
    )


@contextlib.asynccontextmanager
async def watched(pid: int, interval_s: float = SAMPLE_INTERVAL_S) -> AsyncIterator[list[Vitals]]:
    """Look at a process again and again until the end of the block."""
    samples = [look(pid)]

    async def sample() -> None:
        while True:
            await asyncio.sleep(interval_s)
            samples.append(look(pid))

    task = asyncio.create_task(sample())
    try:
        yield samples
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
