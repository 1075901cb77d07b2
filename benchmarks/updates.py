"""The updates that the kill tests send: every one leaves a trace that a checker can recompute.

Update number k of a stream sets `n` to k and one of `FIELDS` other fields to k. So the twin that K
updates must end in is known exactly, a lost update among the last `FIELDS` shows in the twin, and
an older one in the history, where each number stands in its turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

import orjson

FIELDS: Final = 64
"""Fields that take turns: a twin stays small, and a loss shows in it for so many updates."""

COUNTER: Final = "n"
"""Field that holds the number of the newest update."""

APPLICATION: Final = "app"
"""Name under which `desired` is written."""

Section = Literal["reported", "desired"]


@dataclass(slots=True)
class Stream:
    """All updates of one section of one device's twin, numbered from 1.

    Attributes:
        topic: Where they are published.
        device: The device.
        section: The section of its twin.
        boot: Updates carry `id`, this boot and `seq`; None: they carry no `$` at all.
        sent: Number of the newest update that was made.
        acknowledged: Numbers of those that the broker acknowledged.
    """

    topic: str
    device: str
    section: Section
    boot: str | None
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)

    @property
    def writer(self) -> str:
        """Who writes the section, and is answered."""
        return self.device if self.section == "reported" else APPLICATION

    @property
    def numbered(self) -> bool:
        """Its updates carry `id`, `boot` and `seq`, so that a repeat of one is known."""
        return self.boot is not None

    def make_update(self) -> int:
        """Count one more update; returns its number."""
        self.sent += 1
        return self.sent

    def payload(self, number: int) -> bytes:
        """Return the update of that number."""
        patch: dict[str, object] = {COUNTER: number, own_field(number): number}
        if self.boot is not None:
            patch["$"] = {"id": str(number), "boot": self.boot, "seq": number}
        return orjson.dumps(patch)

    def expected(self) -> dict[str, int]:
        """Return the section after all updates that were made."""
        newest = range(max(1, self.sent - FIELDS + 1), self.sent + 1)
        section = {own_field(number): number for number in newest}
        return {COUNTER: self.sent, **section} if self.sent else {}

    def __str__(self) -> str:
        return f"{self.device} {self.section}"


def own_field(number: int) -> str:
    """Return the field that an update sets beside the counter."""
    return f"f{number % FIELDS}"


def make_streams(
    prefix: str, devices: int, random: Random, *, all_numbered: bool = False
) -> list[Stream]:
    """Make the streams of a fleet: one of reports a device, and one of desires for each fifth.

    Every fourth device sends no `$`, unless `all_numbered`.
    """
    return list(_streams(prefix, devices, random, all_numbered=all_numbered))


def _streams(prefix: str, devices: int, random: Random, *, all_numbered: bool) -> Iterator[Stream]:
    for index in range(devices):
        device = f"device-{index:03}"
        boot = None if index % 4 == 3 and not all_numbered else f"{random.getrandbits(64):016x}"
        yield Stream(f"{prefix}/{device}/report", device, "reported", boot)
        if index % 5 == 0:
            topic = f"{prefix}/{device}/desire/{APPLICATION}"
            yield Stream(topic, device, "desired", boot)
