"""What a simulated device obeys: which desired values a field takes, and which one may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Protocol

from bridge.device import JsonValue


class Setting(Protocol):
    """The values that a field can be set to."""

    def takes(self, value: JsonValue) -> bool:
        """Tell whether the device obeys if this value is desired."""

    def draw(self, random: Random) -> JsonValue:
        """Return a value that someone might desire."""


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""

    def takes(self, value: JsonValue) -> bool:
        """Tell whether it is a boolean."""
        return isinstance(value, bool)

    def draw(self, random: Random) -> JsonValue:
        """Return either."""
        return random.random() < 0.5


@dataclass(frozen=True, slots=True)
class Between:
    """A number within bounds; without decimals an integer."""

    low: float
    high: float
    decimals: int = 0

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.low > self.high:
            raise ValueError("low is at most high")

    def takes(self, value: JsonValue) -> bool:
        """Tell whether it is a number within the bounds, and an integer where one is needed."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (self.decimals > 0 or value == int(value))

    def draw(self, random: Random) -> JsonValue:
        """Return any number that it takes."""
        drawn = random.uniform(self.low, self.high)
        return round(drawn, self.decimals) if self.decimals else round(drawn)


@dataclass(frozen=True, slots=True)
class Word:
    """One of several words."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that there is something to choose from."""
        if not self.words:
            raise ValueError("at least one word is needed")

    def takes(self, value: JsonValue) -> bool:
        """Tell whether it is one of them."""
        return value in self.words

    def draw(self, random: Random) -> JsonValue:
        """Return any of them."""
        return random.choice(self.words)


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array of up to `most` integers within bounds."""

    low: int
    high: int
    most: int

    def __post_init__(self) -> None:
        """Check the bounds."""
        if self.low > self.high:
            raise ValueError("low is at most high")

    def takes(self, value: JsonValue) -> bool:
        """Tell whether it is such an array."""
        if not isinstance(value, list) or len(value) > self.most:
            return False
        return all(type(each) is int and self.low <= each <= self.high for each in value)

    def draw(self, random: Random) -> JsonValue:
        """Return such an array."""
        return [random.randint(self.low, self.high) for _ in range(random.randint(0, self.most))]
