"""What the seed decides of faults: nothing here looks at a clock or at the network.

A decision is a function of the seed, the device, the fault and a number: the how-manieth message it
is, or the how-manieth time. So a second run decides the same, whatever else differs, and a device
costs no state of a generator.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from device_sim.faults.catalogue import Acts
from device_sim.faults.fault import Fault

_RANGE = float(1 << 53)


def chance(seed: int, *of: object) -> float:
    """Return a number from 0 to below 1 that depends on the arguments and on nothing else."""
    text = "/".join(map(str, (seed, *of))).encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / _RANGE


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of a run.

    Attributes:
        seed: Decides everything.
        faults: In the order in which they were given.
    """

    seed: int
    faults: tuple[Fault, ...] = ()

    def of_device(self, device: str) -> DeviceFaults | None:
        """Return what may happen to a device; None if nothing may."""
        mine = tuple(
            Numbered(index, fault)
            for index, fault in enumerate(self.faults)
            if self._meets(index, fault, device)
        )
        return DeviceFaults(self.seed, device, mine) if mine else None

    def _meets(self, index: int, fault: Fault, device: str) -> bool:
        share = fault.share
        if fault.acts is Acts.TRAIT and fault.probability is not None:
            share *= fault.probability
        return share >= 1.0 or chance(self.seed, index, device, "share") < share


class Numbered(NamedTuple):
    """A fault with its place in the run, so that two of one kind decide apart."""

    place: int
    fault: Fault


class Strike(NamedTuple):
    """One time at which a fault happens to a device.

    Attributes:
        at_s: Since the run began.
        fault: What happens.
        by_s: How late or how long, drawn up to what the fault says.
        pick: From 0 to below 1, for what else is to be chosen.
    """

    at_s: float
    fault: Fault
    by_s: float
    pick: float


class DeviceFaults:
    """The decisions for one device, in the order of its messages.

    Args:
        seed: Of the run.
        device: The device.
        faults: Those that may happen to it.
    """

    def __init__(self, seed: int, device: str, faults: tuple[Numbered, ...]) -> None:
        self._seed = seed
        self._device = device
        self._on_messages = tuple(each for each in faults if each.fault.acts is not Acts.TRAIT)
        self.traits = tuple(each.fault for each in faults if each.fault.acts is Acts.TRAIT)
        self._faults = faults
        self._sent = 0
        self._answered = 0

    def has(self, kind: str) -> bool:
        """Tell whether a fault of a kind may happen to the device."""
        return any(each.fault.kind == kind for each in self._faults)

    def on_report(self, at_s: float) -> list[Strike]:
        """Decide what the next report meets.

        Args:
            at_s: Now, since the run began; it decides only whether a fault's time has come.
        """
        number = self._sent
        self._sent += 1
        return [
            self._strike(each, at_s, number, "report")
            for each in self._on_messages
            if each.fault.probability is not None
            and chance(self._seed, each.place, self._device, "report", number)
            < each.fault.probability
            and each.fault.holds(at_s)
        ]

    def on_reply(self, at_s: float) -> bool:
        """Decide whether the next reply is lost."""
        number = self._answered
        self._answered += 1
        return any(
            chance(self._seed, each.place, self._device, "reply", number) < each.fault.probability
            and each.fault.holds(at_s)
            for each in self._on_messages
            if each.fault.kind == "loss" and each.fault.probability is not None
        )

    def scheduled(self) -> Iterator[Strike]:
        """Yield what happens at times of its own, in their order; without end for `every`."""
        return heapq.merge(*map(self._scheduled, self._on_messages), key=lambda strike: strike.at_s)

    def _scheduled(self, numbered: Numbered) -> Iterator[Strike]:
        times = heapq.merge(self._at(numbered), self._every(numbered))
        for number, at_s in enumerate(times):
            if at_s > numbered.fault.until_s:
                return
            if numbered.fault.holds(at_s):
                yield self._strike(numbered, at_s, number, "time")

    def _at(self, numbered: Numbered) -> Iterator[float]:
        place, fault = numbered
        for number, at_s in enumerate(fault.at_s):
            yield at_s + fault.spread_s * chance(self._seed, place, self._device, "at", number)

    def _every(self, numbered: Numbered) -> Iterator[float]:
        place, fault = numbered
        if fault.every_s is None:
            return
        at_s = fault.start_s
        for number in itertools.count():
            drawn = chance(self._seed, place, self._device, "every", number)
            at_s += -math.log(1.0 - drawn) * fault.every_s
            yield at_s

    def _strike(self, numbered: Numbered, at_s: float, number: int, what: str) -> Strike:
        place, fault = numbered
        by = chance(self._seed, place, self._device, what, number, "by")
        pick = chance(self._seed, place, self._device, what, number, "pick")
        return Strike(at_s, fault, by * fault.by_s, pick)
