"""The lock of a device, and waiting for something to become true under it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bridge.errors import DeviceError, NotAnswered


class Waiters:
    """What those who wait for an answer have in common.

    Attributes:
        changed: The device's one lock, and what is notified at every change. It is held for
            moments, and never while paho or a handler is called.
        problem: Why nothing can be answered now, such as a broker that cannot be reached; or empty.
        closed: The device was closed.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.problem = ""
        self.closed = False

    def wait_for(self, done: Callable[[], bool], timeout_s: float | None, what: str) -> None:
        """Wait, with the lock held, until something is true.

        Raises:
            NotAnswered: It was not in time, or the device was closed; `what` begins the message.
        """
        self.changed.wait_for(lambda: done() or self.closed, timeout_s)
        if done():
            return
        if self.closed:
            raise NotAnswered(f"{what} before the device was closed", recoverable=False)
        raise NotAnswered(
            f"{what} within {timeout_s} s",
            hint=self.problem or "there is a connection to the broker: does a bridge run on it?",
        )

    def check_open(self) -> None:
        """Refuse to work for a closed device.

        Raises:
            DeviceError: It was closed.
        """
        if self.closed:
            raise DeviceError("the device was closed", hint="make a new Device")
