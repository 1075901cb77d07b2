"""Random histories: several writers, bad clocks, a bad network, restarts, a bridge that is killed.

Made for speed: a history is one walk with one `random.Random`, and costs less than to check it.
The walk looks at the twin's version, so that `seen` and `if` are near it.
"""

from __future__ import annotations

import random
from typing import Any

from bridge.core.update import Boot, SectionName
from tests.reference.steps import APPS, DEVICE, NOW, SECOND, Appear, Delete, Reload, Send, Step

NAMES = ("a", "b", "c")
SCALARS: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 1.0, 2.5, -1, True, False, "x", "y", [], [1], [1.0, True], [2, "x"],
    [{"k": None}, [3]], 21.3, 21.299999237060547, 2**62,
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (0, 1, 2, 3, 5, 8, 13, -2, 1.0, 2.5, 5.0, 0.1, 2**62)
ARRAYS: tuple[Any, ...] = ([], [1], [1, 2], [2, "x"], [1.0], [None, True], [[1], {"k": 2}], ["x"])

TABLES: tuple[dict[str, str], ...] = (
    {},
    {},
    {"desired.**": "device", "desired.a": "app"},
    {"desired.**": "app", "desired.b.*": "device"},
    {"desired.a": "sum", "desired.a.*": "sum", "reported.*": "sum"},
    {"desired.**": "sum", "desired.c.**": "latest"},
    {"desired.a": "max", "desired.*.b": "max", "desired.b": "min", "reported.**": "min"},
    {"desired.*": "union", "desired.a.**": "union", "reported.a": "union"},
    {"desired.**": "first"},
    {"desired.**": "refuse", "reported.a.**": "refuse"},
    {"desired.a": "first", "desired.a.b": "refuse", "desired.b.**": "refuse",
     "desired.c": "device"},
    {"desired.a": "union", "desired.b": "sum", "desired.b.c": "device", "desired.c.*": "first",
     "desired.c.a": "refuse", "desired.c.b.**": "app", "desired.*": "max"},
)  # fmt: skip
"""Path pattern -> policy; most histories have some, and every policy is in one."""


class Sender:
    """One writer on one topic: how it numbers its messages, and what its clock says.

    Attributes:
        boot: Its present boot; None if it does not number.
        seq: Of its last message.
        clock: What is wrong with its clock.
    """

    __slots__ = ("boot", "boots", "clock", "section", "seq", "writer")

    def __init__(self, section: SectionName, writer: str, chance: random.Random) -> None:
        self.section = section
        self.writer = writer
        self.boots = 0
        self.seq = 0
        self.boot: Boot | None = None if chance.random() < 0.35 else self.next_boot()
        self.clock = chance.choice(("none", "right", "behind", "ahead", "stuck", "1970", "wild"))

    def next_boot(self) -> Boot:
        """Return a boot that it has not used: devices count, applications draw lots."""
        self.boots += 1
        return self.boots if self.writer == DEVICE else f"boot-{self.boots}"


class Traffic:
    """What happens to one twin, step by step.

    Args:
        chance: Where all randomness comes from.
        table: The policies, so that values of their types are written.
    """

    def __init__(self, chance: random.Random, table: dict[str, str]) -> None:
        self.chance = chance
        self.clock = NOW
        self.senders = [Sender("reported", DEVICE, chance)]
        self.senders += [Sender("desired", writer, chance) for writer in (DEVICE, *APPS)]
        self.in_flight: list[Send] = []
        self.delivered: list[Send | Delete] = []
        self.packets = 0
        self.reloads = chance.random() < 0.2
        self._expect(table)

    def _expect(self, table: dict[str, str]) -> None:
        """Write values that the policies take, mostly."""
        self.numeric = any(policy in ("sum", "max", "min") for policy in table.values())
        self.arrays = "union" in table.values()

    def next(self, version: int) -> Step:
        """Return what happens next to a twin that is at a version."""
        chance = self.chance
        self._pass_time()
        dice = chance.random()
        if dice < 0.12 and self.in_flight:
            return self._deliver(self.in_flight.pop(chance.randrange(len(self.in_flight))))
        if dice < 0.22 and self.delivered:
            return self._again(chance.choice(self.delivered))
        if dice < 0.26:
            boot = chance.choice((None, self.senders[0].boot, self.senders[0].boots - 1, 1))
            return Appear(chance.random() < 0.5, self.clock, boot)
        if dice < 0.285:
            delete = Delete(chance.choice(APPS), self.clock, *self._delivery())
            self.delivered.append(delete)
            return delete
        if dice < 0.31 and self.reloads:
            if chance.random() < 0.7:
                return Reload()
            table = chance.choice(TABLES)
            self._expect(table)
            return Reload(table)
        while True:
            send = self._write(chance.choice(self.senders), version)
            fate = chance.random()
            if fate > 0.25:
                return self._deliver(send)
            if fate > 0.08:
                self.in_flight.append(send)
            # Else it is lost; its seq leaves a gap.

    def _pass_time(self) -> None:
        dice = self.chance.random()
        if dice < 0.7:
            self.clock += self.chance.randrange(1, 4) * SECOND
        elif dice > 0.97:
            self.clock -= 3600 * SECOND
        elif dice > 0.94:
            self.clock += 3600 * SECOND

    def _delivery(self) -> tuple[int, bool, bool]:
        """Return packet id, DUP and RETAIN of a new message."""
        dice = self.chance.random()
        self.packets = self.packets % 7 + 1
        return (0 if dice < 0.4 else self.packets, dice > 0.97, 0.93 < dice < 0.97)

    def _deliver(self, send: Send) -> Send:
        packet_id, repeated, retained = self._delivery()
        send = send._replace(
            clock=self.clock, packet_id=packet_id, repeated=repeated, retained=retained
        )
        self.delivered.append(send)
        return send

    def _again(self, step: Send | Delete) -> Step:
        """The broker repeats it, or the writer does, or it is retained and comes at a connect."""
        dice = self.chance.random()
        if dice < 0.5:
            return step._replace(clock=self.clock, repeated=True)
        if dice < 0.7:
            return step._replace(clock=self.clock, packet_id=0, repeated=False, retained=True)
        self.packets = self.packets % 7 + 1
        return step._replace(clock=self.clock, packet_id=self.packets, repeated=False)

    def _write(self, sender: Sender, version: int) -> Send:
        chance = self.chance
        boot, seq = self._number(sender)
        dice = chance.random()
        seen = None
        if dice < 0.6:
            seen = max(0, version - chance.choice((0, 0, 0, 1, 1, 2, 3, 5, -2)))
        if_version = None
        if dice > 0.93:
            if_version = max(0, version - chance.choice((0, 0, 1, 2, -1)))
        full = chance.random() < 0.1
        return Send(
            sender.section,
            sender.writer,
            self._patch(),
            self.clock,
            boot,
            seq,
            seen,
            self._time(sender),
            if_version,
            full,
            bad=chance.random() < 0.02,
        )

    def _number(self, sender: Sender) -> tuple[Boot | None, int | None]:
        dice = self.chance.random()
        if sender.boot is None:
            # Presence is told the boot by some that do not number.
            return (None if dice < 0.9 else 1), None
        if dice < 0.05 and sender.boots < 6:
            sender.boot, sender.seq = sender.next_boot(), 0
        elif dice < 0.09:
            sender.seq = 0
        sender.seq += 1
        return sender.boot, sender.seq

    def _time(self, sender: Sender) -> int | None:
        clock = sender.clock
        if clock == "wild":
            clock = self.chance.choice(("none", "right", "behind", "ahead", "stuck", "1970"))
        if clock == "none":
            return None
        if clock == "right":
            return self.clock
        if clock == "behind":
            return self.clock - self.chance.randrange(1, 30) * SECOND
        if clock == "ahead":
            return self.clock + 3600 * SECOND
        return NOW + 5 * SECOND if clock == "stuck" else 1000

    def _patch(self) -> dict[str, Any]:
        chance = self.chance
        patch: dict[str, Any] = {}
        for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3)) if chance.random() < 0.5 else 1):
            place = patch
            for _ in range(chance.choice((0, 0, 1, 1, 2))):
                inner = place.setdefault(chance.choice(NAMES), {})
                if type(inner) is not dict:
                    break
                place = inner
            place[chance.choice(NAMES)] = self._value()
        return patch

    def _value(self) -> Any:
        chance = self.chance
        dice = chance.random()
        if dice < 0.2:
            return None
        if dice < 0.27:
            return {}
        if dice < 0.7 and (self.numeric or self.arrays):
            if self.arrays and (not self.numeric or chance.random() < 0.5):
                return chance.choice(ARRAYS)
            return chance.choice(NUMBERS)
        return chance.choice(SCALARS)
