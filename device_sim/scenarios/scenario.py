"""What a scenario is: phases, and in each of them what happens to which devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.device import JsonObject
from device_sim.faults import Fault
from device_sim.kinds import Kind
from device_sim.scenarios.selection import Member, Selection

OWN_RATE = -1.0
"""Stands for: as often as each kind says."""


@dataclass(frozen=True, slots=True)
class Power:
    """The power of some devices goes, or comes back.

    Attributes:
        selection: Of which.
        is_on: Whether there is power from then on.
        ramp_hz: Devices per second; None for all at once.
    """

    selection: Selection
    is_on: bool
    ramp_hz: float | None = None

    def paced(self, members: Mapping[str, Member], begins_s: float) -> Iterator[tuple[float, str]]:
        """Yield each device with its time."""
        return self.selection.paced(members, begins_s, self.ramp_hz)


@dataclass(frozen=True, slots=True)
class Desire:
    """The application asks something of some devices.

    Attributes:
        selection: Of which.
        patch: Of `desired`.
        ramp_hz: Devices per second; None for all at once.
    """

    selection: Selection
    patch: JsonObject
    ramp_hz: float | None = None

    def paced(self, members: Mapping[str, Member], begins_s: float) -> Iterator[tuple[float, str]]:
        """Yield each device with its time."""
        return self.selection.paced(members, begins_s, self.ramp_hz)


@dataclass(frozen=True, slots=True)
class ScenarioPhase:
    """A part of a scenario.

    Attributes:
        name: For progress and report.
        duration_s: How long.
        rate_hz: Reports per device and second; None as in the whole run, `OWN_RATE` for each
            kind's own.
        desired_rate_hz: Desired changes per second for the whole fleet; None as in the whole run.
        powers: What goes off and on when it begins.
        desires: What is asked for when it begins.
        faults: With times since its beginning; they end with it.
    """

    name: str
    duration_s: float
    rate_hz: float | None = None
    desired_rate_hz: float | None = None
    powers: tuple[Power, ...] = ()
    desires: tuple[Desire, ...] = ()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A story that a fleet goes through.

    Attributes:
        name: Of its file.
        about: One line on what it is.
        devices: How many, where the user does not say.
        kinds: Of which kinds, with the share of each in the fleet.
        districts: Into how many parts the fleet is divided.
        ramp_hz: Devices switched on per second.
        phases: At least one.
    """

    name: str
    about: str
    devices: int
    kinds: tuple[tuple[Kind, float], ...]
    districts: int
    ramp_hz: float
    phases: tuple[ScenarioPhase, ...]

    @property
    def duration_s(self) -> float:
        """How long all phases take."""
        return sum(phase.duration_s for phase in self.phases)

    def begins(self) -> Iterator[tuple[float, ScenarioPhase]]:
        """Yield each phase with its beginning, in seconds since that of the first."""
        start_s = 0.0
        for phase in self.phases:
            yield start_s, phase
            start_s += phase.duration_s

    def phase_at(self, at_s: float) -> str:
        """Return the name of the phase at a time since the first began; the last goes on."""
        name = ""
        for start_s, phase in self.begins():
            if start_s <= at_s:
                name = phase.name
        return name

    def faults_from(self, begins_s: float) -> tuple[Fault, ...]:
        """Return the faults of all phases, where the first phase begins at a time."""
        return tuple(
            fault.moved(begins_s + start_s, begins_s + start_s + phase.duration_s)
            for start_s, phase in self.begins()
            for fault in phase.faults
        )
