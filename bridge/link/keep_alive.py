"""When to ask the broker for a sign of life, and when to take it for dead."""

from __future__ import annotations

from typing import Final, Literal

LOOKS_PER_INTERVAL: Final = 4
LOOK_AT_MOST_EVERY_S: Final = 1.0

Action = Literal["none", "ping", "dead"]


class KeepAlive:
    """The client's part of MQTT 5 section 3.1.2.10.

    It is asked now and then in place of at each packet, because there are many packets.

    Args:
        interval_s: Something is sent at least as often; and a broker from which nothing came for
            as long is asked for a sign of life, and dead after as long again.

    Attributes:
        look_every_s: How often to call `look`.
    """

    def __init__(self, interval_s: int) -> None:
        self.interval_s = interval_s
        self.look_every_s = min(LOOK_AT_MOST_EVERY_S, interval_s / LOOKS_PER_INTERVAL)
        self._received_at: float | None = None
        self._sent_at = 0.0
        self._pinged_at: float | None = None

    def look(self, now: float, *, received: bool, sent: bool) -> Action:
        """Return what is to be done now.

        Args:
            now: Monotonic time in seconds.
            received: Something has come from the broker since the last call.
            sent: Something was sent since the last call.
        """
        if received or self._received_at is None:
            self._received_at = now
            self._pinged_at = None
        if sent or not self._sent_at:
            self._sent_at = now
        if self._pinged_at is not None:
            return "dead" if now - self._pinged_at >= self.interval_s else "none"
        # Before the interval is over, as this is not asked again before it is.
        quiet_s = self.interval_s - self.look_every_s
        if now - self._received_at >= quiet_s or now - self._sent_at >= quiet_s:
            self._pinged_at = now
            return "ping"
        return "none"
