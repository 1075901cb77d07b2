"""A clock that stands still while the broker is away: nobody can be reached, or heard, then."""

from __future__ import annotations

from collections.abc import Callable


class ConnectedTime:
    """Time, in s, for which there has been a connection.

    Args:
        clock: The event loop's clock, in s.

    Attributes:
        is_running: There is a connection.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before = 0.0
        self._since = 0.0
        self.is_running = False

    def start(self) -> None:
        """Go on: there is a connection. Idempotent."""
        if not self.is_running:
            self.is_running = True
            self._since = self._clock()

    def stop(self) -> None:
        """Stand still: there is none. Idempotent."""
        self._before = self.now()
        self.is_running = False

    def now(self) -> float:
        """Return the time."""
        return self._before + (self._clock() - self._since if self.is_running else 0.0)
