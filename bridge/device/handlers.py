"""The program's handlers, and which version of the twin the program has been given."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

from bridge.device.dispatcher import Dispatcher
from bridge.device.events import DeltaReceived, ReportRefused
from bridge.device.payload import JsonObject
from bridge.device.waiters import Waiters


class Handlers:
    """Handlers of deltas and of refusals. All methods are called with the device's lock held.

    Args:
        dispatcher: Calls them.
        waiters: Has the lock.

    Attributes:
        given_version: The newest version of the twin that the program was given, by a handler or
            as the outcome of a call; 0 for none. What has arrived and still waits for a handler
            does not count: the program has not seen it.
    """

    def __init__(self, dispatcher: Dispatcher, waiters: Waiters) -> None:
        self._dispatcher = dispatcher
        self._waiters = waiters
        self._delta: DeltaReceived | None = None
        self._of_deltas: list[Callable[[JsonObject], object]] = []
        self._of_refusals: list[Callable[[ReportRefused], object]] = []
        self.given_version = 0

    def give(self, version: int) -> None:
        """Note that the program is given a version of the twin."""
        self.given_version = max(self.given_version, version)

    def add_for_deltas(self, handler: Callable[[JsonObject], object]) -> None:
        """Have a function called with each delta, and with the one that there is already."""
        self._of_deltas.append(handler)
        if self._delta is not None:
            self._submit(len(self._of_deltas) - 1, self._delta)

    def add_for_refusals(self, handler: Callable[[ReportRefused], object]) -> None:
        """Have a function called with each refused report."""
        self._of_refusals.append(handler)

    def delta_received(self, delta: DeltaReceived) -> None:
        """Hand on a delta; a handler that has not got to the one before gets only this."""
        self._delta = delta
        for number in range(len(self._of_deltas)):
            self._submit(number, delta)

    def delta_cleared(self) -> None:
        """Hand on nothing that still waits."""
        self._delta = None
        for number in range(len(self._of_deltas)):
            self._dispatcher.withdraw(("delta", number))

    def refused(self, event: ReportRefused) -> None:
        """Hand on a refusal."""
        for number, handler in enumerate(self._of_refusals):
            key = ("refusal", number, event.boot, event.seq)
            self._dispatcher.submit(key, partial(handler, event))

    def _submit(self, number: int, delta: DeltaReceived) -> None:
        self._dispatcher.submit(("delta", number), partial(self._call, number, delta))

    def _call(self, number: int, delta: DeltaReceived) -> None:
        """Call a handler, on the dispatcher's thread, without the lock."""
        with self._waiters.changed:
            self.give(delta.version)
            handler = self._of_deltas[number]
        handler(copy.deepcopy(delta.state))
