"""What the bridge's process is set up with."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import asyncio, gc, sys
if {without}:
    sys.modules["uvloop"] = None
from bridge.cli import event_loop

async def main():
    loop = asyncio.get_running_loop()
    print(type(loop).__module__.split(".")[0], gc.get_threshold()[0], gc.get_freeze_count() > 0)

event_loop.run(main())
"""


def _run(*, without_uvloop: bool) -> list[str]:
    # A process of its own: what is set there would hold for all tests.
    program = _PROGRAM.format(without=without_uvloop)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


def test_uvloop_is_used_where_it_is_installed() -> None:
    """The tests' environment has it."""
    assert _run(without_uvloop=False) == ["uvloop", "50000", "True"]


def test_asyncio_does_where_it_is_not() -> None:
    """Nothing else changes."""
    assert _run(without_uvloop=True) == ["asyncio", "50000", "True"]
