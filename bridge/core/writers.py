"""Repeats: which messages of a writer are known, and between which of its own a new one stands.

For each writer and section a twin remembers the last boots, and for each boot the highest `seq`
and the gaps below it (design section 4, "Repeats first"). A writer that sends in order touches one
counter and one stamp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bridge.core.limits import BOOTS_PER_WRITER, GAPS_PER_BOOT
from bridge.core.update import Boot


class Gap(NamedTuple):
    """Messages `first` to `last` of a boot have not arrived.

    `before` and `after` are the stamps of the messages on both sides; `before` is 0 where no
    message of the writer is known that came before the gap.
    """

    first: int
    last: int
    before: int
    after: int


@dataclass(slots=True)
class BootRecord:
    """What is known of one boot of one writer.

    Attributes:
        boot: As the writer calls it.
        order: Number of the boot in order of first arrival, from 1. No other boot of the twin has
            it, nor had it one that is forgotten: a sum is added up by it.
        highest: Highest `seq` received.
        highest_stamp: Its stamp, in µs.
        lowest_stamp: Stamp of the lowest `seq` received.
        first_digest: Digest of the message with `seq` 1; empty until it came.
        gaps: Open gaps, lowest first.
    """

    boot: Boot
    order: int
    highest: int
    highest_stamp: int
    lowest_stamp: int
    first_digest: bytes
    gaps: tuple[Gap, ...]


class Place(NamedTuple):
    """Where a message stands among its writer's others.

    Attributes:
        duplicate: It has been received before.
        order: Order of its boot.
        floor: Stamp of the nearest earlier known message, 0 if there is none.
        ceiling: Stamp of the nearest later known message, or None.
        record: The boot that it belongs to; None if it begins one.
        gap: Index of the gap that it falls into, or -1.
    """

    duplicate: bool
    order: int
    floor: int
    ceiling: int | None
    record: BootRecord | None
    gap: int = -1


Digest = Callable[[], bytes]


class Writer:
    """The boots of one writer in one section, the newest last."""

    __slots__ = ("boots",)

    def __init__(self, boots: list[BootRecord] | None = None) -> None:
        self.boots: list[BootRecord] = [] if boots is None else boots

    def locate(
        self, boot: Boot, seq: int, digest: Digest, *, repeated: bool = False, boots_begun: int = 0
    ) -> Place:
        """Find where a message stands; changes nothing.

        Args:
            boot: The boot that the message names.
            seq: Its number, from 1.
            digest: Computes the digest of the message, where it is needed.
            repeated: The broker delivers it again: it may belong to an earlier life of the boot.
            boots_begun: The highest order that a boot of the twin was ever given.
        """
        boots = self.boots
        if boots:
            newest = boots[-1]
            if newest.boot == boot and seq > newest.highest:
                return Place(False, newest.order, newest.highest_stamp, None, newest)
        index = next((i for i in reversed(range(len(boots))) if boots[i].boot == boot), None)
        if index is None:
            return self._new_boot(boots_begun)
        record = boots[index]
        ceiling = boots[index + 1].lowest_stamp if index + 1 < len(boots) else None
        if seq > record.highest:
            return Place(False, record.order, record.highest_stamp, ceiling, record)
        for number, gap in enumerate(record.gaps):
            if gap.first <= seq <= gap.last:
                floor = gap.before
                if gap.first == 1 and index:
                    floor = max(floor, boots[index - 1].highest_stamp)
                return Place(False, record.order, floor, gap.after, record, number)
        if seq == 1 and record.first_digest:
            lives = [life for life in boots if life.boot == boot] if repeated else [record]
            if digest() not in [life.first_digest for life in lives]:
                return self._new_boot(boots_begun)
        return Place(True, record.order, 0, None, record)

    def _new_boot(self, boots_begun: int) -> Place:
        if not self.boots:
            return Place(False, boots_begun + 1, 0, None, None)
        newest = self.boots[-1]
        order = max(boots_begun, newest.order) + 1
        return Place(False, order, newest.highest_stamp, None, None)

    def record(
        self, place: Place, boot: Boot, seq: int, stamp: int, digest: Digest, *, full: bool = False
    ) -> None:
        """Enter a message that `locate` has placed, with the stamp that it was given.

        With `full` nothing that is missing below it matters any more: the gaps there are closed.
        """
        record = place.record
        if record is None:
            record = BootRecord(boot, place.order, 0, place.floor, stamp, b"", ())
            self.boots.append(record)
            del self.boots[:-BOOTS_PER_WRITER]
        if seq == 1:
            record.first_digest = digest()
        if place.gap >= 0:
            _fill(record, place.gap, seq, stamp)
        else:
            if seq > record.highest + 1:
                gap = Gap(record.highest + 1, seq - 1, record.highest_stamp, stamp)
                record.gaps = (*record.gaps, gap)[-GAPS_PER_BOOT:]
            record.highest = seq
            record.highest_stamp = stamp
        if full:
            self._close_gaps(record, seq)

    def _close_gaps(self, record: BootRecord, seq: int) -> None:
        record.gaps = tuple(gap for gap in record.gaps if gap.first > seq)
        for older in self.boots[: self.boots.index(record)]:
            older.gaps = ()

    def open_gaps(self) -> tuple[Boot, list[tuple[int, int]]] | None:
        """Return the newest boot with messages missing, and their numbers, first and last.

        What is missing before a writer's very first message was perhaps never meant for this
        bridge, and does not count.
        """
        for record in reversed(self.boots):
            if record.gaps:
                missing = [(gap.first, gap.last) for gap in record.gaps if gap.before]
                if missing:
                    return record.boot, missing
        return None


def _fill(record: BootRecord, index: int, seq: int, stamp: int) -> None:
    """Split a gap at the message that has arrived."""
    gap = record.gaps[index]
    if gap.first == 1:
        record.lowest_stamp = stamp
    parts = (
        Gap(gap.first, seq - 1, gap.before, stamp),
        Gap(seq + 1, gap.last, stamp, gap.after),
    )
    left = [part for part in parts if part.first <= part.last]
    gaps = (*record.gaps[:index], *left, *record.gaps[index + 1 :])
    record.gaps = gaps[-GAPS_PER_BOOT:]
