"""Which sealed messages were received: what is in memory of the store's windows.

What a batch adds becomes part of it when the batch is committed, so that memory and store say the
same whatever happens between.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from bridge.core.refusal import Refusal
from bridge.store.sealed_windows import BOOTS_PER_KEY, SealedPlace, SealedWindow

WINDOWS_KEPT: Final = 100_000
"""Windows in memory, about 25 MiB; beyond that the least recently used is read again."""

WINDOW_MESSAGES: Final = 63
"""Numbers below the highest that are told apart; older ones count as received."""

NOT_NUMBERED_HERE: Final = 0
"""Highest number of a window whose numbers the twin remembers."""


class SealedMemory:
    """The windows of sealed messages.

    Args:
        windows_kept: Windows in memory at most.
        boots_per_key: Boots that a key may have.
    """

    def __init__(
        self, windows_kept: int = WINDOWS_KEPT, boots_per_key: int = BOOTS_PER_KEY
    ) -> None:
        self._windows_kept = windows_kept
        self._boots_per_key = boots_per_key
        self._windows: OrderedDict[SealedPlace, SealedWindow] = OrderedDict()
        # Of the batch at work: places that are not in the store, and what it adds.
        self._new: set[SealedPlace] = set()
        self._counts: dict[tuple[str, int], int] = {}
        self._added: dict[SealedPlace, SealedWindow] = {}

    def missing(self, places: Iterable[SealedPlace]) -> list[SealedPlace]:
        """Begin a batch with these places; returns those that the store has to be asked for."""
        self._new.clear()
        self._counts.clear()
        self._added.clear()
        missing = []
        for place in dict.fromkeys(places):
            if place in self._windows:
                self._windows.move_to_end(place)
            else:
                missing.append(place)
        return missing

    def take_in(
        self,
        asked: Iterable[SealedPlace],
        found: Mapping[SealedPlace, SealedWindow],
        counts: Mapping[tuple[str, int], int],
    ) -> None:
        """Take over what the store has answered."""
        self._windows.update(found)
        self._new.update(place for place in asked if place not in found)
        self._counts.update(counts)

    def knows(self, place: SealedPlace) -> bool:
        """Tell whether something of a boot was received on a topic before this batch."""
        return place not in self._new

    def begin(self, place: SealedPlace) -> None:
        """Note that a boot has begun on a topic; its numbers are remembered by the twin."""
        if place in self._new and place not in self._added:
            self._added[place] = SealedWindow(place, NOT_NUMBERED_HERE, 0)
            self._counts[place.device, place.key_id] += 1

    def receive(self, place: SealedPlace, seq: int) -> bool | Refusal:
        """Note that a message was received.

        Returns:
            True where it had not been before; or why its boot may not begin.
        """
        refusal = self.refusal_of(place)
        if refusal is not None:
            return refusal
        self.begin(place)
        after = _with(self._added.get(place) or self._windows[place], seq)
        if after is None:
            return False
        self._added[place] = after
        return True

    def refusal_of(self, place: SealedPlace) -> Refusal | None:
        """Return why a boot may not begin: the key has had too many."""
        if place not in self._new or place in self._added:
            return None
        count = self._counts[place.device, place.key_id]
        if count < self._boots_per_key:
            return None
        return Refusal(
            401,
            "boots_exhausted",
            f"key {place.key_id} of {place.device} has had {count} boots on all topics, and none "
            "may be forgotten: give it a new key",
        )

    @property
    def added(self) -> list[SealedWindow]:
        """What the batch at work adds."""
        return [*self._added.values()]

    def committed(self) -> None:
        """Keep what the batch has added: it is on the disk."""
        self._windows.update(self._added)
        self._added.clear()
        self._new.clear()
        while len(self._windows) > self._windows_kept:
            self._windows.popitem(last=False)

    def forget(self, device: str) -> None:
        """Forget the windows of a device, after its keys have changed."""
        for place in [place for place in self._windows if place.device == device]:
            del self._windows[place]


def _with(window: SealedWindow, seq: int) -> SealedWindow | None:
    """Return a window with a number in it, None where it is in it already, or too old to tell."""
    place, highest, seen = window
    if seq > highest:
        shift = seq - highest
        below = (seen << 1 | (highest > 0)) << (shift - 1) if shift <= WINDOW_MESSAGES else 0
        return SealedWindow(place, seq, below & ((1 << WINDOW_MESSAGES) - 1))
    bit = highest - seq - 1
    if bit < 0 or bit >= WINDOW_MESSAGES or seen >> bit & 1:
        return None
    return SealedWindow(place, highest, seen | 1 << bit)
