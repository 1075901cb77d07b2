"""How a run went, second by second, for charts; bounded, however long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.device import JsonObject

SAMPLES_MAX = 600
"""Points kept; where there are more, every other one goes and the distance doubles."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A run at one moment; all counts are totals since its beginning.

    Attributes:
        at_s: Since the run began.
        online: Devices connected.
        sent: Different reports published.
        acknowledged: Reports answered with ok.
        connects: Connections of devices, each new one counts.
        outstanding: Twins whose device has not done all that is desired.
        latency_p99_ms: Of publish to state, since the last sample; None without any.
        faults: Injected so far, by kind.
        phase: Of the scenario.
    """

    at_s: float
    online: int
    sent: int
    acknowledged: int
    connects: int
    outstanding: int
    latency_p99_ms: float | None
    faults: Mapping[str, int]
    phase: str = ""

    def to_json(self) -> JsonObject:
        """Return it for programs."""
        return {
            "at_s": round(self.at_s, 3),
            "online": self.online,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "connects": self.connects,
            "outstanding": self.outstanding,
            "latency_p99_ms": self.latency_p99_ms,
            "faults": dict(self.faults),
            "phase": self.phase,
        }


class Series:
    """Samples at even distances.

    Args:
        interval_s: Between two, at first.

    Attributes:
        samples: In the order of time.
    """

    def __init__(self, interval_s: float = 1.0) -> None:
        self.samples: list[Sample] = []
        self._interval_s = interval_s
        self._next_s = 0.0

    def is_due(self, at_s: float) -> bool:
        """Tell whether it is time for a sample."""
        return at_s >= self._next_s

    def add(self, sample: Sample) -> None:
        """Keep a sample."""
        self.samples.append(sample)
        if len(self.samples) > SAMPLES_MAX:
            self.samples = self.samples[::2]
            self._interval_s *= 2
        self._next_s = sample.at_s + self._interval_s
