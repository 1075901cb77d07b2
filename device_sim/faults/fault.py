"""One fault to be injected, as it is written: `loss=5%`, `half-open,every=1m,for=10s`.

A fault says what happens, and when: with a probability, on average `every` so often for each
device, or `at` given times; from `from` until `until`, to a `share` of the devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from device_sim.declarations import near, read_duration
from device_sim.faults.catalogue import FAULTS, Acts, FaultKind

RATE_MAX_HZ = 10_000.0
"""Messages per second of one chatterbox: more than a broker takes from one connection."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and when it happens.

    Attributes:
        kind: Its name in the catalogue.
        probability: Of what, says `Acts`; None where only the schedule counts.
        every_s: For each device, on average; None for never.
        at_s: Times at which it happens to each device, since the run began.
        spread_s: Each device has its own time within so long after each of `at_s`.
        start_s: Not before this time, since the run began.
        until_s: Not after.
        share: Of the devices that it may happen to at all.
        by_s: How late, how much before or behind; 0 where that has no meaning.
        for_s: How long; 0 where that has no meaning.
        rate_hz: How many messages a second; 0 where that has no meaning.
        with_session: The session on the broker is taken up again.
    """

    kind: str
    probability: float | None = None
    every_s: float | None = None
    at_s: tuple[float, ...] = ()
    spread_s: float = 0.0
    start_s: float = 0.0
    until_s: float = math.inf
    share: float = 1.0
    by_s: float = 0.0
    for_s: float = 0.0
    rate_hz: float = 0.0
    with_session: bool = False

    @property
    def acts(self) -> Acts:
        """On what it acts."""
        return FAULTS[self.kind].acts

    def holds(self, at_s: float) -> bool:
        """Tell whether a time lies where it may happen."""
        return self.start_s <= at_s <= self.until_s

    def moved(self, by_s: float, until_s: float) -> Fault:
        """Return it with all its times later, and not after `until_s`: for a phase of a run."""
        return replace(
            self,
            at_s=tuple(each + by_s for each in self.at_s),
            start_s=self.start_s + by_s,
            until_s=min(self.until_s + by_s, until_s),
        )


def parse_fault(text: str) -> Fault:
    """Read a fault.

    Raises:
        ValueError: There is no such fault, it takes no such parameter, or a value is out of its
            range; the message says which, with the near name.
    """
    head, *rest = (part.strip() for part in text.split(","))
    name, has_probability, probability = head.partition("=")
    kind = FAULTS.get(name)
    if kind is None:
        raise ValueError(f"{name!r} is no fault: {near(name, FAULTS)}")
    fault = Fault(name)
    for key, value in kind.takes.items():
        fault = _OWN[key](fault, value if isinstance(value, str) else f"{value:g}")
    if has_probability:
        fault = replace(fault, probability=_share(name, "probability", probability))
    for part in rest:
        key, _, value = part.partition("=")
        fault = _with(fault, kind, key, value)
    return _checked(fault)


def _with(fault: Fault, kind: FaultKind, key: str, value: str) -> Fault:
    readers = WHEN | {own: _OWN[own] for own in kind.takes}
    read = readers.get(key)
    if read is None:
        raise ValueError(f"{kind.name} takes no {key!r}: {near(key, readers)}")
    try:
        return read(fault, value)
    except ValueError as error:
        raise ValueError(f"{kind.name}, {key}: {error}") from None


def _checked(fault: Fault) -> Fault:
    if fault.start_s >= fault.until_s:
        raise ValueError(f"{fault.kind}: from is before until")
    if fault.acts is Acts.TRAIT:
        if fault.every_s is not None or fault.at_s:
            raise ValueError(
                f"{fault.kind}: a device is so from `from` until `until`, not at times"
            )
        return fault
    if fault.probability is None and fault.every_s is None and not fault.at_s:
        raise ValueError(
            f"{fault.kind}: when? give a probability ({fault.kind}=5%), every=1m or at=30s"
        )
    return fault


def _share(name: str, key: str, text: str) -> float:
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(f"{name}, {key}: {text!r} is not a share such as 0.05 or 5%") from None
    if not 0 <= value <= 1:
        raise ValueError(f"{name}, {key}: {text} is not from 0 to 1, or 0% to 100%")
    return value


def _times(text: str) -> tuple[float, ...]:
    return tuple(sorted(read_duration(each) for each in text.split("+")))


def _positive(text: str) -> float:
    duration_s = read_duration(text)
    if duration_s <= 0:
        raise ValueError("it is above 0")
    return duration_s


def _rate(text: str) -> float:
    try:
        rate_hz = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of messages a second") from None
    if not 0 < rate_hz <= RATE_MAX_HZ:
        raise ValueError(f"{text} is not above 0 and up to {RATE_MAX_HZ:g}")
    return rate_hz


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"{text!r} is neither yes nor no")
    return text == "yes"


_Reader = Callable[[Fault, str], Fault]

WHEN: dict[str, _Reader] = {
    "every": lambda fault, text: replace(fault, every_s=_positive(text)),
    "at": lambda fault, text: replace(fault, at_s=_times(text)),
    "spread": lambda fault, text: replace(fault, spread_s=read_duration(text)),
    "from": lambda fault, text: replace(fault, start_s=read_duration(text)),
    "until": lambda fault, text: replace(fault, until_s=read_duration(text)),
    "share": lambda fault, text: replace(fault, share=_share(fault.kind, "share", text)),
}
"""Parameters that every fault takes."""

_OWN: dict[str, _Reader] = {
    "by": lambda fault, text: replace(fault, by_s=read_duration(text)),
    "for": lambda fault, text: replace(fault, for_s=read_duration(text)),
    "rate": lambda fault, text: replace(fault, rate_hz=_rate(text)),
    "session": lambda fault, text: replace(fault, with_session=_yes(text)),
}
