"""Resident memory of a process, over time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

SAMPLE_INTERVAL_S: Final = 0.25

_KIBIBYTES_PER_MEBIBYTE: Final = 1024


def resident_mib(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process, now and at most since it began, in MiB, on Linux.

    Raises:
        OSError: There is no such process, or no /proc.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return _mib(lines["VmRSS"]), _mib(lines["VmHWM"])


def _mib(value: str) -> float:
    # proc(5): the unit is always kB, which are KiB.
    return int(value.split()[0]) / _KIBIBYTES_PER_MEBIBYTE


async def sample(pid: int, samples_mib: list[float]) -> None:
    """Append the resident memory of a process again and again, until cancelled."""
    while True:
        samples_mib.append(resident_mib(pid)[0])
        await asyncio.sleep(SAMPLE_INTERVAL_S)


def growth(samples_mib: Sequence[float]) -> float:
    """Tell whether memory is flat: the median of the last fifth of its samples by the first's."""
    fifth = max(1, len(samples_mib) // 5)
    return median(samples_mib[-fifth:]) / median(samples_mib[:fifth])
