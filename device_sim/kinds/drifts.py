"""How a field of a simulated device changes by itself.

A drift is a value without state: what it needs to go on is the value before, the model's time and
a source of randomness. So the same seed gives the same values on any machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

from bridge.device import JsonValue

DAY_S = 86_400.0


class Moment(NamedTuple):
    """Model time of a step, in seconds.

    Attributes:
        at_s: Since the device was switched on.
        elapsed_s: Since the field last changed.
    """

    at_s: float
    elapsed_s: float


class Drift(Protocol):
    """How one field begins and goes on."""

    def start(self, random: Random) -> JsonValue:
        """Return the value with which a device is switched on."""

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:
        """Return the value that follows `value`."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A setting: it changes only if someone desires it."""

    value: JsonValue

    def start(self, random: Random) -> JsonValue:  # noqa: ARG002
        """Return the value."""
        return self.value

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return the value as it was."""
        return value


@dataclass(frozen=True, slots=True)
class Walk:
    """A number that wanders between bounds by at most `step` at a time.

    Without decimals it is an integer.
    """

    low: float
    high: float
    stride: float
    decimals: int = 1

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.low > self.high or self.stride < 0:
            raise ValueError("low is at most high, and stride is not below 0")

    def start(self, random: Random) -> JsonValue:
        """Return any value between the bounds."""
        return _rounded(random.uniform(self.low, self.high), self.decimals)

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return a value nearby."""
        moved = _number(value) + random.uniform(-self.stride, self.stride)
        return _rounded(min(max(moved, self.low), self.high), self.decimals)


@dataclass(frozen=True, slots=True)
class Daily:
    """A number that follows the time of day, with noise: coldest or least at the start."""

    mean: float
    swing: float
    noise: float
    decimals: int = 1

    def start(self, random: Random) -> JsonValue:
        """Return the value at the start of the day."""
        return self.step(0.0, Moment(0.0, 0.0), random)

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return the value at this time of the day."""
        phase = math.cos(2 * math.pi * moment.at_s / DAY_S)
        wave = self.mean - self.swing * phase
        return _rounded(wave + random.uniform(-self.noise, self.noise), self.decimals)


@dataclass(frozen=True, slots=True)
class Rising:
    """A meter: a number that only grows, by about `per_hour`."""

    per_hour: float
    start_below: float
    decimals: int = 0

    def start(self, random: Random) -> JsonValue:
        """Return what the meter had counted before."""
        return _rounded(random.uniform(0, self.start_below), self.decimals)

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:
        """Return what it counts now; no less than before."""
        grown = self.per_hour * moment.elapsed_s / 3600.0 * random.uniform(0.5, 1.5)
        return _rounded(_number(value) + grown, self.decimals)


@dataclass(frozen=True, slots=True)
class Uptime:
    """Whole seconds since the device was switched on."""

    def start(self, random: Random) -> JsonValue:  # noqa: ARG002
        """Return 0."""
        return 0

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return the model's time."""
        return int(moment.at_s)


@dataclass(frozen=True, slots=True)
class Battery:
    """A charge in percent that drains by about `per_hour` and is replaced when empty.

    Before that the device is off for `flat_s`: someone has to come.
    """

    per_hour: float
    flat_s: float = 0.0

    def start(self, random: Random) -> JsonValue:
        """Return the charge of a battery that is not new."""
        return round(random.uniform(40.0, 100.0), 1)

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:
        """Return a charge that is a little lower."""
        drained = self.per_hour * moment.elapsed_s / 3600.0 * random.uniform(0.5, 1.5)
        left = _number(value) - drained
        return round(left, 1) if left > 1.0 else 100.0

    def off_s(self, before: JsonValue, after: JsonValue) -> float:
        """Return how long the device was off between two charges, in seconds."""
        return self.flat_s if _number(after) > _number(before) else 0.0


@dataclass(frozen=True, slots=True)
class Among:
    """One of several values; changes with a probability at each step.

    None stands for a field that is not there at the moment.
    """

    values: tuple[JsonValue, ...]
    change: float = 0.3

    def __post_init__(self) -> None:
        """Check that there is something to choose from."""
        if not self.values:
            raise ValueError("at least one value is needed")

    def start(self, random: Random) -> JsonValue:
        """Return any of them."""
        return random.choice(self.values)

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return any of them, or the value as it was."""
        drawn = random.choice(self.values)
        return drawn if random.random() < self.change else value


@dataclass(frozen=True, slots=True)
class Subset:
    """An array of some of several numbers, in order."""

    of: tuple[int, ...]
    share: float = 0.5

    def start(self, random: Random) -> JsonValue:
        """Return some of them."""
        return [number for number in self.of if random.random() < self.share]

    def step(self, value: JsonValue, moment: Moment, random: Random) -> JsonValue:  # noqa: ARG002
        """Return some of them."""
        return self.start(random)


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0.0


def _rounded(value: float, decimals: int) -> int | float:
    return round(float(value), decimals) if decimals else round(value)
