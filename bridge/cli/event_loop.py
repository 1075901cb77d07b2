"""How the bridge's process runs: on the fastest event loop there is, and seldom collecting."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Final

COLLECT_AFTER_OBJECTS: Final = 50_000
"""Objects that are made before Python looks for cycles among them. Next to nothing in the bridge
is one, and with its default of 700 to 2,000 it would search every batch."""

COLLECTIONS_PER_GENERATION: Final = 50
"""Collections of one generation before the next older one is searched. The twins in memory are in
the oldest: to search a hundred thousand of them takes a good part of a second."""


def run(work: Coroutine[None, None, None]) -> None:
    """Run until the work is done, on uvloop where it is installed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(
        COLLECT_AFTER_OBJECTS, COLLECTIONS_PER_GENERATION, COLLECTIONS_PER_GENERATION
    )
    with asyncio.Runner(loop_factory=_uvloop_factory()) as runner:
        runner.run(work)


def _uvloop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
