"""Which messages with `seq` have come, and between which of its writer's own a new one stands.

Everything is kept but two things, knowingly: of a writer only the last eight lives, as the design
says, and of a life as many gaps as there are; histories stay below the core's 16.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

LIVES_KEPT = 8

Boot = str | int


@dataclass(eq=False)
class Life:
    """One life of one boot: what has come of it.

    Attributes:
        order: Number of the life in order of first arrival in its twin, from 1.
        stamps: Its messages' stamps, by seq.
        first: The bytes of its seq 1, once that came.
        closed_below: What has not come below this seq will not be missed any more.
    """

    boot: Boot
    order: int
    stamps: dict[int, int] = field(default_factory=dict)
    first: bytes | None = None
    closed_below: int = 0


class Place(NamedTuple):
    """Where a new message stands: in which life, and the stamps on both sides."""

    life: Life
    begins: bool
    floor: int
    ceiling: int | None


class Receipts:
    """Of one writer in one section."""

    def __init__(self) -> None:
        self.lives: list[Life] = []

    def place(
        self, boot: Boot, seq: int, payload: bytes, *, repeated: bool, begun: int
    ) -> Place | Life:
        """Find where a message stands; a repeat is answered with the life that has it.

        `begun` lives have begun in the twin, of all writers.
        """
        same_boot = [
            life for life in self.lives if life.boot == boot and type(life.boot) is type(boot)
        ]
        if not same_boot:
            return self._new_life(boot, begun)
        life = same_boot[-1]
        if seq not in life.stamps and seq >= life.closed_below:
            return self._between(life, seq)
        if seq == 1 and life.first is not None:
            known = [each.first for each in same_boot] if repeated else [life.first]
            if payload not in known:
                return self._new_life(boot, begun)
        return life

    def _new_life(self, boot: Boot, begun: int) -> Place:
        life = Life(boot, begun + 1)
        if not self.lives:
            return Place(life, True, 0, None)
        before = self.lives[-1].stamps
        return Place(life, True, before[max(before)], None)

    def _between(self, life: Life, seq: int) -> Place:
        index = self.lives.index(life)
        earlier = [known for known in life.stamps if known < seq]
        later = [known for known in life.stamps if known > seq]
        floor, ceiling = 0, None
        if earlier:
            floor = life.stamps[max(earlier)]
        elif index:
            before = self.lives[index - 1].stamps
            floor = before[max(before)]
        if later:
            ceiling = life.stamps[min(later)]
        elif index + 1 < len(self.lives):
            after = self.lives[index + 1].stamps
            ceiling = after[min(after)]
        return Place(life, False, floor, ceiling)

    def record(self, place: Place, seq: int, stamp: int, payload: bytes) -> None:
        """Enter a message."""
        if place.begins:
            self.lives.append(place.life)
            del self.lives[:-LIVES_KEPT]
        place.life.stamps[seq] = stamp
        if seq == 1:
            place.life.first = payload

    def close_gaps(self, life: Life, seq: int) -> None:
        """Miss nothing any more that was sent before a message: it held the whole section."""
        for each in self.lives[: self.lives.index(life) + 1]:
            last = seq if each is life else max(each.stamps)
            each.closed_below = max(each.closed_below, last)
