"""Which devices have been silent for too long to count as online.

For devices without a last will: whoever says on its presence topic that it is online is left to
its will. Nothing here waits or does anything; times are in s, on any clock that does not go back.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

WATCHED_DEVICES: Final = 1_000_000
"""Devices that are watched, at about 250 bytes each; more of them stay online."""

OWN_PRESENCES: Final = 1_000_000
"""Devices that are known to say themselves whether they are online. They say so again at each
connection, so that the least recent can be forgotten."""


class Silence:
    """The devices that are online, and when each was last heard.

    Args:
        offline_after_s: How long a device may be silent.
    """

    def __init__(self, offline_after_s: float) -> None:
        self._offline_after_s = offline_after_s
        # The one that was silent longest first.
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._own_presence: OrderedDict[str, None] = OrderedDict()
        self._listening_since: float | None = None

    def heard(self, device: str, now: float) -> bool:
        """Take note of a report; tells whether the device is watched by its silence."""
        if device in self._own_presence:
            return False
        if device not in self._heard and len(self._heard) >= WATCHED_DEVICES:
            return False
        self._heard[device] = now
        self._heard.move_to_end(device)
        return True

    def expect(self, device: str) -> None:
        """Watch a device that was online when the bridge began to listen."""
        if device not in self._heard and self.heard(device, float("-inf")):
            self._heard.move_to_end(device, last=False)

    def says_itself(self, device: str, *, online: bool) -> None:
        """Take note that a device said whether it is online."""
        self._heard.pop(device, None)
        if online:
            self._own_presence[device] = None
            self._own_presence.move_to_end(device)
            if len(self._own_presence) > OWN_PRESENCES:
                self._own_presence.popitem(last=False)

    def listen(self, now: float) -> None:
        """Begin to count: from now on devices can be heard."""
        self._listening_since = now

    def stop_listening(self) -> None:
        """Stop to count: nobody can be heard."""
        self._listening_since = None

    def next_at(self) -> float | None:
        """Return when the next device is to go offline unless it is heard; None for never."""
        if self._listening_since is None or not self._heard:
            return None
        return self._goes_at(next(iter(self._heard.values())), self._listening_since)

    def overdue(self, now: float, limit: int) -> list[str]:
        """Return devices that are to go offline, at most so many."""
        found: list[str] = []
        for device in self._heard:
            if len(found) == limit or not self.is_overdue(device, now):
                break
            found.append(device)
        return found

    def is_overdue(self, device: str, now: float) -> bool:
        """Tell whether a device is to go offline now."""
        heard_at = self._heard.get(device)
        since = self._listening_since
        return heard_at is not None and since is not None and self._goes_at(heard_at, since) <= now

    def _goes_at(self, heard_at: float, listening_since: float) -> float:
        return max(heard_at, listening_since) + self._offline_after_s

    def forget(self, device: str) -> None:
        """Watch a device no longer."""
        self._heard.pop(device, None)
