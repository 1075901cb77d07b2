"""What a simulated fleet is and does, as one frozen object."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypedDict, Unpack

from bridge.device import Encoding
from device_sim.broker import Broker
from device_sim.faults import Fault
from device_sim.kinds import KINDS, Kind
from device_sim.mqtt import MqttVersion
from device_sim.scenarios import Scenario

DEVICES_MAX = 50_000
"""One process cannot drive more at a useful rate, and has no more source ports to one broker."""

_PREFIX = re.compile(r"[^/$+#\0][^/+#\0]*(/[^/+#\0]+)*\Z")


_DEFAULT_DEVICES = 100
_DEFAULT_RAMP_HZ = 200.0


class _Others(TypedDict, total=False):
    """What a scenario does not say."""

    broker: Broker
    prefix: str
    rate_hz: float | None
    desired_rate_hz: float
    seed: int
    converge_s: float
    find_s: float
    encoding: Encoding
    faults: tuple[Fault, ...]
    gateways: int
    protocol: MqttVersion


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """A fleet and its run.

    Attributes:
        broker: Where the devices connect to.
        prefix: Of all topics, as the bridge is configured.
        devices: How many.
        kinds: Of which kinds, taking turns.
        shares: How much of the fleet each kind is, instead of taking turns.
        rate_hz: Reports per device and second, on average; None: as often as each kind says.
        desired_rate_hz: Desired changes per second for the whole fleet, on average.
        seed: Decides everything that is planned.
        duration_s: How long each device reports; None until it is stopped.
        ramp_hz: Devices switched on per second, so that the broker is not hit by all at once.
        converge_s: How long to wait at the end until everything is answered and obeyed.
        find_s: How long to wait at the start for a bridge to answer.
        encoding: Of what the devices and the application send.
        faults: What is injected, with times since the run began.
        scenario: What the fleet goes through; it has its own duration, fleet and ramp, which
            `fleet_options` puts in.
        gateways: Connections that carry the devices; 0 for one of its own for each device.
        protocol: MQTT version; `auto` is 5 where the broker speaks it, which costs less.

    Raises:
        ValueError: One of them is out of its range.
    """

    broker: Broker = field(default_factory=Broker)
    prefix: str = "sync"
    devices: int = _DEFAULT_DEVICES
    kinds: tuple[Kind, ...] = tuple(KINDS.values())
    shares: tuple[float, ...] = ()
    rate_hz: float | None = 1.0
    desired_rate_hz: float = 0.1
    seed: int = 1
    duration_s: float | None = None
    ramp_hz: float = _DEFAULT_RAMP_HZ
    converge_s: float = 15.0
    find_s: float = 10.0
    encoding: Encoding = "json"
    faults: tuple[Fault, ...] = ()
    scenario: Scenario | None = None
    gateways: int = 0
    protocol: MqttVersion = "3.1.1"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.devices <= DEVICES_MAX:
            raise ValueError(f"devices: {self.devices} is not from 1 to {DEVICES_MAX}")
        if not self.kinds:
            raise ValueError("kinds: at least one is needed")
        if len({kind.name for kind in self.kinds}) < len(self.kinds):
            raise ValueError("kinds: one name stands for two kinds")
        if self.shares and len(self.shares) != len(self.kinds):
            raise ValueError("shares: each kind has one")
        if not 0 <= self.gateways <= self.devices:
            raise ValueError(f"gateways: {self.gateways} is not from 0 to the number of devices")
        if not _PREFIX.match(self.prefix):
            raise ValueError(f"prefix: {self.prefix!r} is not one or more levels without wildcards")
        for name in ("rate_hz", "desired_rate_hz", "converge_s"):
            if (getattr(self, name) or 0.0) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is below 0")
        for name in ("ramp_hz", "find_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not above 0")
        if self.duration_s is not None and self.duration_s < 0:
            raise ValueError(f"duration_s: {self.duration_s} is below 0")


def fleet_options(
    scenario: Scenario | None = None,
    *,
    devices: int | None = None,
    kinds: tuple[Kind, ...] | None = None,
    duration_s: float | None = None,
    ramp_hz: float | None = None,
    **others: Unpack[_Others],
) -> FleetOptions:
    """Return options in which what is not given is as a scenario says, or as it is without one.

    Args:
        scenario: What the fleet goes through.
        devices: How many.
        kinds: Of which kinds, taking turns.
        duration_s: How long; a scenario has a duration of its own.
        ramp_hz: Devices switched on per second.
        others: As `FleetOptions` has them.

    Raises:
        ValueError: One of them is out of its range, or does not go with a scenario.
    """
    if scenario is None:
        return FleetOptions(
            devices=_DEFAULT_DEVICES if devices is None else devices,
            kinds=tuple(KINDS.values()) if kinds is None else kinds,
            duration_s=duration_s,
            ramp_hz=_DEFAULT_RAMP_HZ if ramp_hz is None else ramp_hz,
            **others,
        )
    if duration_s is not None or kinds is not None:
        raise ValueError("a scenario has its own kinds and its own duration: leave them out")
    return FleetOptions(
        devices=scenario.devices if devices is None else devices,
        kinds=tuple(kind for kind, _ in scenario.kinds),
        shares=tuple(share for _, share in scenario.kinds),
        duration_s=scenario.duration_s,
        ramp_hz=scenario.ramp_hz if ramp_hz is None else ramp_hz,
        scenario=scenario,
        **others,
    )
