"""Answers the bridge when it asks for everything: with what the program says, or said before."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from bridge.core.limits import Limits
from bridge.device.dispatcher import Dispatcher
from bridge.device.events import ResyncRequested
from bridge.device.handlers import Handlers
from bridge.device.patch import apply_patch, checked
from bridge.device.payload import JsonObject
from bridge.device.session import DeviceSession
from bridge.device.waiters import Waiters
from bridge.errors import JournalError, OutboxFull

REPORTS_MEANWHILE_MAX = 100
"""Reports of other threads while the handler runs: it takes moments. With more the answer is
dropped, and the bridge asks again."""

_logger = logging.getLogger("syncbridge.device")


class WholeState:
    """What a device does about `ResyncRequested`.

    Args:
        session: Takes the answer.
        dispatcher: Calls the handler.
        handlers: Know what the program has been given.
        waiters: Has the lock.
        limits: The bridge's bounds on a report.
        wake: Has the session asked for what is to be sent.

    Attributes:
        handler: Returns everything that the device has to report; None where there is none.
    """

    def __init__(
        self,
        session: DeviceSession,
        dispatcher: Dispatcher,
        handlers: Handlers,
        waiters: Waiters,
        limits: Limits,
        wake: Callable[[], None],
    ) -> None:
        self._session = session
        self._dispatcher = dispatcher
        self._handlers = handlers
        self._waiters = waiters
        self._limits = limits
        self._wake = wake
        self._running = False
        # What was reported while the handler runs; None where its answer is not wanted any more.
        self._meanwhile: list[JsonObject] | None = None
        self.handler: Callable[[], Mapping[str, object]] | None = None

    def requested(self, event: ResyncRequested) -> None:
        """Follow a request, with the lock held."""
        _logger.info("the bridge asks for the whole state: %s", event.reason or "no reason given")
        if self.handler is None:
            self._repeat()
        elif not self._running:
            self._dispatcher.submit("resync", partial(self._ask, self.handler))

    def reported(self, patch: Mapping[str, object], *, full: bool) -> None:
        """Note a report of the program, with the lock held.

        The handler may have looked at the program's state before or after it, so it has to follow
        the answer once more. A full one is an answer itself.
        """
        if self._meanwhile is None:
            return
        if full:
            self._meanwhile = None
        elif len(self._meanwhile) < REPORTS_MEANWHILE_MAX:
            self._meanwhile.append(checked(patch, self._limits))
        else:
            self._meanwhile = None
            _logger.warning(
                "the handler of resync takes long: more than %d reports meanwhile; "
                "it is called again when the bridge asks again",
                REPORTS_MEANWHILE_MAX,
            )

    def _repeat(self) -> None:
        try:
            call = self._session.answer_resync(time.monotonic(), seen=self._handlers.given_version)
        except (ValueError, OutboxFull, JournalError) as error:
            _logger.warning("what was reported could not be repeated for the bridge: %s", error)
            return
        if call is None:
            _logger.info("nothing was reported since the start, so nothing is repeated")

    def _ask(self, handler: Callable[[], Mapping[str, object]]) -> None:
        """Call the handler, on the dispatcher's thread, which logs what goes wrong."""
        with self._waiters.changed:
            self._running, self._meanwhile = True, []
            seen = self._handlers.given_version
        try:
            state = handler()
            with self._waiters.changed:
                self._answer(state, seen)
        finally:
            with self._waiters.changed:
                self._running, self._meanwhile = False, None

    def _answer(self, state: Mapping[str, object], seen: int) -> None:
        if self._meanwhile is None or self._waiters.closed:
            return
        now = time.monotonic()
        # One report, and so all of it or nothing: what came meanwhile is newer than the state.
        whole = checked(state, self._limits)
        for patch in self._meanwhile:
            whole = apply_patch(whole, patch)
        self._session.answer_resync(now, whole, seen=seen)
        self._wake()
