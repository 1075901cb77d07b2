"""Every fault that can be injected, with what it means and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Acts(Enum):
    """On what a fault acts, and so what its probability is of."""

    MESSAGE = "a message"
    """It meets single messages; its probability is that of each."""
    EVENT = "a device at a time"
    """It happens to a device; its probability is that of each report that it sends."""
    TRAIT = "a device"
    """A device is so, for the whole run or a part of it; its probability is the share of them."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: As it is written.
        about: What happens.
        acts: On what.
        takes: Parameters of its own, with what they are where they are not given.
    """

    name: str
    about: str
    acts: Acts
    takes: Mapping[str, float | str]


_DEVICE_S = {"for": 2.0}

FAULTS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("loss", "a report or its reply is lost, as at QoS 0", Acts.MESSAGE, {}),
        FaultKind(
            "duplicate",
            "a report arrives twice, the second time up to `by` later",
            Acts.MESSAGE,
            {"by": 2.0},
        ),
        FaultKind(
            "reorder",
            "a report is overtaken by up to three others, or by a reconnect; held for `by` at most",
            Acts.MESSAGE,
            {"by": 2.0},
        ),
        FaultKind("delay", "a report is late, by up to `by`", Acts.MESSAGE, {"by": 2.0}),
        FaultKind("cut", "the end of a report is missing", Acts.MESSAGE, {}),
        FaultKind(
            "half-open",
            "for a time nothing comes or goes, and neither side is told",
            Acts.EVENT,
            {"for": 10.0},
        ),
        FaultKind(
            "reconnect",
            "the connection breaks; the next one takes up its session, or begins a new one",
            Acts.EVENT,
            {"for": 1.0, "session": "no"},
        ),
        FaultKind("restart", "the device is off for a time, and boots anew", Acts.EVENT, _DEVICE_S),
        FaultKind(
            "forget-boot",
            "a restart that has lost the boot counter: the same boot again, from message 1",
            Acts.EVENT,
            _DEVICE_S,
        ),
        FaultKind(
            "reflash",
            "a restart into the state of the factory: the fields begin anew",
            Acts.EVENT,
            _DEVICE_S,
        ),
        FaultKind("clock-back", "the device's clock steps back", Acts.EVENT, {"by": 3600.0}),
        FaultKind("clock-ahead", "the device's clock is ahead", Acts.TRAIT, {"by": 3600.0}),
        FaultKind("clock-behind", "the device's clock is behind", Acts.TRAIT, {"by": 3600.0}),
        FaultKind(
            "clock-drift",
            "the device's clock runs too fast, by so much in an hour",
            Acts.TRAIT,
            {"by": 60.0},
        ),
        FaultKind(
            "clock-1970", "the device's clock was never set: it began at 1970", Acts.TRAIT, {}
        ),
        FaultKind(
            "same-id", "a second device has the same id, and reports as well", Acts.TRAIT, {}
        ),
        FaultKind(
            "chatterbox",
            "the device publishes without end and without waiting",
            Acts.TRAIT,
            {"rate": 1000.0},
        ),
        FaultKind(
            "contrary",
            "the device answers its delta with other values than those desired",
            Acts.TRAIT,
            {},
        ),
    )
}
