"""How the bridge's process runs: on the fastest event loop there is, with its memory at hand."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable, Coroutine
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 50_000
"""Objects that are made before Python looks for cycles among them. Next to nothing in the bridge
is one, and with its default of 700 to 2,000 it would search every batch."""

COLLECTIONS_PER_GENERATION: Final = 50
"""Collections of one generation before the next older one is searched. The twins in memory are in
the oldest: to search a hundred thousand of them takes a good part of a second."""

KEPT_FREE_BYTES: Final = 64 * 1024 * 1024
"""Free memory that is not given back to the system at once. Each batch needs about as much as the
last one; to ask for it page by page, again and again, took a fourth of the time of a batch."""

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's mallopt(3)."""

_MAPPED_FROM_BYTES: Final = 32 * 1024 * 1024
"""The largest that glibc allows: smaller blocks come from what is kept."""


def run(work: Coroutine[None, None, None]) -> None:
    """Run until the work is done, on uvloop where it is installed."""
    _keep_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, COLLECTIONS_PER_GENERATION, COLLECTIONS_PER_GENERATION)
    with asyncio.Runner(loop_factory=_uvloop_factory()) as runner:
        runner.run(work)


def _keep_memory() -> None:
    """Tell the C library to keep some free memory; only glibc has such a switch."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_TRIM_THRESHOLD, KEPT_FREE_BYTES)
        set_option(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
