"""The bridge under cProfile, every thread for itself, by CPU time.

`python -m cProfile` would see the main thread only, and by the clock on the wall most of the time
would be spent waiting.

    python -m benchmarks.profiled_bridge DIRECTORY run --broker … --store …
"""

from __future__ import annotations

import contextlib
import cProfile
import pstats
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

SHOWN_FUNCTIONS: Final = 25

SHOWN_FROM_S: Final = 0.02
"""CPU time of a thread that is worth a table: not those that resolve a name, or shut down."""


def main() -> None:
    """Run the command line of the bridge and write one profile for each thread."""
    from bridge.cli import main as bridge_main

    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    sys.argv = ["syncbridge", *sys.argv[2:]]
    profiles = {"main": cProfile.Profile(time.thread_time)}

    def begin(_frame: FrameType, _event: str, _argument: object) -> None:
        sys.setprofile(None)
        profile = cProfile.Profile(time.thread_time)
        # From Python 3.12 on there is one profile at a time, and the main thread has it.
        with contextlib.suppress(ValueError):
            profile.enable()
            profiles[threading.current_thread().name] = profile

    threading.setprofile(begin)
    profiles["main"].enable()
    try:
        bridge_main()
    finally:
        profiles["main"].disable()
        for name, profile in profiles.items():
            profile.dump_stats(directory / f"{name}.prof")


def print_profiles(directory: Path) -> None:
    """Print for each thread that did something which functions took most time themselves."""
    for file in sorted(directory.glob("*.prof")):
        stats = pstats.Stats(str(file))
        if stats.get_stats_profile().total_tt < SHOWN_FROM_S:
            continue
        print(f"\nThread {file.stem}:")
        stats.strip_dirs().sort_stats(pstats.SortKey.TIME).print_stats(SHOWN_FUNCTIONS)


if __name__ == "__main__":
    main()
