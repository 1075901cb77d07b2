"""One thread that moves messages between a session and its connection."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from bridge.device.connection import (
    BrokerRefused,
    Connected,
    Connection,
    ConnectionSettings,
    Disconnected,
    Received,
    Signal,
)
from bridge.device.events import Answered, BootClosed, Event, Ignored
from bridge.device.occasional_log import OccasionalLog
from bridge.device.session import DeviceSession
from bridge.device.waiters import Waiters

INBOX_MAX = 1000
"""Signals that wait to be handled; beyond that paho's thread waits, and TCP holds the broker."""

_FULL_CHECK_S = 0.5
"""How often a thread that waits for room looks whether the device was closed."""

_AFTER_FAILURE_S = 1.0
"""Wait after a fault in the library itself, so that it cannot take all of a processor."""

_WAKE = None

_logger = logging.getLogger("syncbridge.device")


class Pump:
    """Hands what arrives to the session, and what the session has to say to the connection.

    Args:
        session: Used under the lock of `waiters` only.
        settings: How to reach the broker.
        waiters: Notified after each step.
        handle: Called with each event, with the lock held.
    """

    def __init__(
        self,
        session: DeviceSession,
        settings: ConnectionSettings,
        waiters: Waiters,
        handle: Callable[[Event], None],
    ) -> None:
        self._session = session
        self._settings = settings
        self._waiters = waiters
        self._handle = handle
        self._inbox: queue.Queue[Signal | None] = queue.Queue(INBOX_MAX)
        self._stopping = threading.Event()
        self._connection = Connection(settings, lambda: session.will, self._deliver, self._offer)
        self._ignored = OccasionalLog(_logger)
        self._refused = OccasionalLog(_logger)
        self._woken = False
        self._boot_of_will = session.boot
        self.connected = False
        self._thread = threading.Thread(
            target=self._run, name=f"syncbridge-{settings.client_id}", daemon=True
        )
        waiters.problem = f"{settings}: not connected yet"

    def start(self) -> None:
        """Connect, in the background."""
        self._thread.start()
        self._connection.start()

    def stop(self) -> None:
        """Say goodbye and disconnect."""
        with self._waiters.changed:
            self._stopping.set()
            self.wake()
        self._thread.join()
        self._connection.stop(self._session.will)

    def wake(self) -> None:
        """Have the session asked for what is to be sent. Called with the lock held."""
        if not self._woken:
            self._woken = True
            # A full inbox has the session asked anyway.
            self._offer(_WAKE)

    def _deliver(self, signal: Signal) -> None:
        while not self._stopping.is_set():
            try:
                self._inbox.put(signal, timeout=_FULL_CHECK_S)
            except queue.Full:
                continue
            return

    def _offer(self, signal: Signal | None) -> None:
        try:
            self._inbox.put_nowait(signal)
        except queue.Full:
            return

    def _run(self) -> None:
        due: float | None = None
        while not self._stopping.is_set():
            try:
                due = self._step(self._next_signals(due))
            except Exception:
                _logger.exception("a fault in the device library; the device goes on")
                due = time.monotonic() + _AFTER_FAILURE_S

    def _next_signals(self, due: float | None) -> list[Signal]:
        """Wait for a signal until something is due, and take all that there are by then."""
        timeout_s = None if due is None else max(0.0, due - time.monotonic())
        signals: list[Signal] = []
        try:
            first = self._inbox.get(timeout=timeout_s) if timeout_s != 0 else _WAKE
            if first is not None:
                signals.append(first)
            for _ in range(self._inbox.qsize()):
                following = self._inbox.get_nowait()
                if following is not None:
                    signals.append(following)
        except queue.Empty:
            pass
        return signals

    def _step(self, signals: list[Signal]) -> float | None:
        """Follow signals and send what is to be sent; returns when to do so again."""
        with self._waiters.changed:
            self._woken = False
            for signal in signals:
                self._follow(signal)
            messages = self._session.outgoing(time.monotonic())
            topics = self._session.subscriptions
            due = self._session.next_due_s()
            self._waiters.changed.notify_all()
        if self.connected:
            self._connection.subscribe_to(topics)
            for message in messages:
                self._connection.publish(message)
        return due

    def _follow(self, signal: Signal) -> None:
        now = time.monotonic()
        match signal:
            case Received(topic, payload):
                for event in self._session.received(topic, payload, now):
                    self._follow_event(event)
            case Connected():
                self._note_connected()
                self._session.connected(now)
            case Disconnected(reason):
                self._note_disconnected(reason)
                self._session.disconnected()
            case BrokerRefused(reason):
                self._refused.warning(
                    f"{self._settings} refuses {reason}: check its access control list"
                )

    def _follow_event(self, event: Event) -> None:
        if isinstance(event, Ignored):
            self._ignored.warning(f"passed over a message on {event.topic}: {event.reason}")
            return
        if isinstance(event, BootClosed):
            _logger.warning(
                "the bridge has closed boot %s; %d report(s) are sent again in boot %s",
                event.boot,
                event.reports,
                event.begun,
            )
            return
        if isinstance(event, Answered) and event.boot == self._session.boot:
            self._renew_will()
        self._handle(event)

    def _renew_will(self) -> None:
        """Connect anew where the boot has changed, now that the bridge knows the new one.

        A last will cannot be changed, and that of a boot before would be passed over.
        """
        if self._boot_of_will != self._session.boot:
            self._boot_of_will = self._session.boot
            self._connection.renew()

    def _note_connected(self) -> None:
        self._boot_of_will = self._session.boot
        self._connection.forget_subscriptions()
        self.connected = True
        self._waiters.problem = ""
        _logger.info("%s: connected as %s", self._settings, self._settings.client_id)

    def _note_disconnected(self, reason: str) -> None:
        if self.connected or reason != self._waiters.problem:
            _logger.warning("%s; trying again", reason)
        self.connected = False
        self._waiters.problem = reason
