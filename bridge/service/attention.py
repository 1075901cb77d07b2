"""What is noticed beside what a message says: that a device is there, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.core.orders import Deletion, ForgetWriter, Order
from bridge.core.reconcile import Outcome
from bridge.core.twin import Twin
from bridge.core.update import Presence, Update
from bridge.service.resync import Resync
from bridge.service.silence import Silence

LAST_SEEN_GRAIN_US: Final = 60_000_000
"""How exactly the store knows when a device was last heard that reports to its named twins only:
its own twin, which holds it, is written once in so long."""


class Attention:
    """Tells the watchers what has been heard, and what follows for the device.

    Args:
        resync: Watches for what is missing.
        silence: Watches who is silent; None where that makes nobody offline.
        clock: The event loop's clock, in s.
        wake: Called when the first device is watched.
    """

    def __init__(
        self,
        resync: Resync,
        silence: Silence | None,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._resync = resync
        self._silence = silence
        self._clock = clock
        self._wake = wake

    @property
    def is_idle(self) -> bool:
        """There is nothing to notice about a report without a number."""
        return self._silence is None and not self._resync.watches_any

    def before(self, order: Update, device: Twin) -> Presence | None:
        """Return what a report says of a device that there is no twin of yet.

        It is carried out first, so that the twin begins with it.

        Args:
            order: A report of the device.
            device: The device's unnamed twin.
        """
        if self._silence is None or device.exists or device.online is not None:
            return None
        return self._online(order, device)

    def after(self, order: Update, outcome: Outcome, twin: Twin, device: Twin) -> Presence | None:
        """Take note of a report that was carried out; returns what it says of the device.

        Args:
            order: A report of the device.
            outcome: What came of it.
            twin: The twin that it was about.
            device: The device's unnamed twin.
        """
        if outcome.open_gap or (self._resync.watches_any and self._resync.watches(twin.key)):
            self._resync.heard(twin, self._clock())
        if self._silence is None:
            return None
        return self._online(order, device)

    def _online(self, order: Update, device: Twin) -> Presence | None:
        if self._silence is None or not is_live(order, device):
            return None
        is_first = self._silence.next_at() is None
        if not self._silence.heard(device.key.device, self._clock()):
            return None
        if is_first:
            self._wake()
        return None if device.online else Presence(True)

    def presence(self, order: Presence, device: Twin) -> None:
        """Take note of what a device has said itself."""
        if self._silence is not None:
            self._silence.says_itself(device.key.device, online=order.online)

    def order(self, order: Order, outcome: Outcome, twin: Twin) -> None:
        """Take note of an order that makes what is watched pointless."""
        if isinstance(order, ForgetWriter) or (isinstance(order, Deletion) and outcome.clear):
            self._resync.forget(twin.key)
            if self._silence is not None and outcome.clear and not twin.key.name:
                self._silence.forget(twin.key.device)


def is_live(order: Update, device: Twin) -> bool:
    """Tell whether a report shows that its device is there: not if it is an old one."""
    boot = order.metadata.boot
    if order.delivery.retained:
        return False
    return boot is None or boot not in device.boots or device.boots[-1] == boot


def last_seen_is_due(before: int, after: int) -> bool:
    """Tell whether a time, in µs, is to be stored for a device whose own twin did not change."""
    return before // LAST_SEEN_GRAIN_US != after // LAST_SEEN_GRAIN_US
