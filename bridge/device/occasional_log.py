"""A log line that someone else can provoke, at a bounded rate."""

from __future__ import annotations

import logging
import time

INTERVAL_S = 60.0
"""Time between two lines: what is wrong stays visible and does not fill a disk."""


class OccasionalLog:
    """Logs the first of many lines, and then one for each interval, with their number."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next_at = float("-inf")
        self._passed_over = 0

    def warning(self, message: str) -> None:
        """Log a warning, or count it."""
        now = time.monotonic()
        if now < self._next_at:
            self._passed_over += 1
            return
        more = f" ({self._passed_over} more like it since the last)" if self._passed_over else ""
        self._logger.warning("%s%s", message, more)
        self._next_at = now + INTERVAL_S
        self._passed_over = 0
