"""What this process may open, and how much memory it takes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

SPARE_FILES = 100
"""Open files beside the connections of devices: the terminal, libraries, the observer."""

_STATM = Path("/proc/self/statm")


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, as far as the system lets; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            # Some systems have a hard limit above what they accept.
            return soft
        return hard
    return soft


def file_limit() -> int:
    """Return the limit of open files as it is now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connections_allowed(file_limit: int) -> int:
    """Return how many connections fit under a limit of open files."""
    if file_limit == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(file_limit - SPARE_FILES, 0)


def resident_bytes() -> int:
    """Return the resident memory of this process; where the system does not say, its peak."""
    if _STATM.exists():
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
