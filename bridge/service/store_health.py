"""Whether the store can be written, as the last attempt has shown."""

from __future__ import annotations

from collections.abc import Callable

from bridge.logs import get_logger

_log = get_logger("bridge.store")


class StoreHealth:
    """Notes how attempts to write go, and tells somebody when that changes.

    Attributes:
        is_available: The last attempt did not fail for want of a store that can be written.
    """

    def __init__(self) -> None:
        self.is_available = True
        self._listener: Callable[[], None] | None = None

    def listen(self, listener: Callable[[], None]) -> None:
        """Have something called at every change; there is one listener."""
        self._listener = listener

    def note(self, *, is_available: bool) -> None:
        """Note how an attempt went."""
        if is_available is self.is_available:
            return
        self.is_available = is_available
        if is_available:
            _log.info("the store can be written again")
        if self._listener is not None:
            self._listener()
