"""All that happens at a time and not for a message, driven by one task.

The task sleeps until the earliest deadline, or until it is told that there is an earlier one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol


class Timed(Protocol):
    """Something with a deadline. Times are in s, on the event loop's clock."""

    def next_at(self, now: float) -> float | None:
        """Return when `act` is due: now or earlier means at once, None never."""

    async def act(self, now: float) -> None:
        """Do what is due."""


class Timers:
    """Runs what is due.

    Args:
        clock: The event loop's clock, in s.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the deadlines again: one has become earlier."""
        self._woken.set()

    async def run(self, parts: Sequence[Timed]) -> None:
        """Do what is due whenever it is, until cancelled."""
        while True:
            self._woken.clear()
            for part in parts:
                now = self._clock()
                next_at = part.next_at(now)
                if next_at is not None and next_at <= now:
                    await part.act(now)
            now = self._clock()
            deadlines = [part.next_at(now) for part in parts]
            await self._sleep_until(min((d for d in deadlines if d is not None), default=None))

    async def _sleep_until(self, deadline: float | None) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._woken.wait()
        except TimeoutError:
            pass
