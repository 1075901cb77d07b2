"""How a benchmark ends that is told to."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def end_in_good_order() -> None:
    """End what was started before ending: brokers and peers are processes of their own."""
    signal.signal(signal.SIGTERM, _end)


def _end(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)
