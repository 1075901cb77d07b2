"""One thread on which the user's handlers run, so that they may take their time and call back."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

WAITING_MAX = 1000
"""Calls that wait at most; beyond that the oldest is dropped, and that is logged."""

STOP_TIMEOUT_S = 5.0
"""For the handler that runs at the end."""

_logger = logging.getLogger("syncbridge.device")


class Dispatcher:
    """Calls handlers one after the other, in the order of `submit`."""

    def __init__(self, thread_name: str) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[Hashable, Callable[[], object]] = OrderedDict()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the handler that is running, and wait for it where that is possible."""
        with self._changed:
            self._stopping = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return
        self._thread.join(STOP_TIMEOUT_S)
        if self._thread.is_alive():
            _logger.warning("a handler still runs after %g s and is left alone", STOP_TIMEOUT_S)

    def submit(self, key: Hashable, call: Callable[[], object]) -> None:
        """Have something called soon, in place of what waits under the same key, if anything."""
        with self._changed:
            self._waiting.pop(key, None)
            self._waiting[key] = call
            if len(self._waiting) > WAITING_MAX:
                dropped, _ = self._waiting.popitem(last=False)
                _logger.error(
                    "more than %d calls of handlers wait; dropped %r", WAITING_MAX, dropped
                )
            self._changed.notify_all()

    def withdraw(self, key: Hashable) -> None:
        """Do not call what waits under this key."""
        with self._changed:
            self._waiting.pop(key, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                _, call = self._waiting.popitem(last=False)
            try:
                call()
            except Exception:
                _logger.exception("a handler failed; the device goes on")
