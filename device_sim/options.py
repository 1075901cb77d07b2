"""What a simulated fleet is and does, as one frozen object."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.device import Encoding
from device_sim.broker import Broker
from device_sim.kinds import KINDS, Kind
from device_sim.mqtt import MqttVersion

DEVICES_MAX = 50_000
"""One process cannot drive more at a useful rate, and has no more source ports to one broker."""

_PREFIX = re.compile(r"[^/$+#\0][^/+#\0]*(/[^/+#\0]+)*\Z")


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """A fleet and its run.

    Attributes:
        broker: Where the devices connect to.
        prefix: Of all topics, as the bridge is configured.
        devices: How many.
        kinds: Of which kinds, taking turns.
        rate_hz: Reports per device and second, on average; None: as often as each kind says.
        desired_rate_hz: Desired changes per second for the whole fleet, on average.
        seed: Decides everything that is planned.
        duration_s: How long each device reports; None until it is stopped.
        ramp_hz: Devices switched on per second, so that the broker is not hit by all at once.
        converge_s: How long to wait at the end until everything is answered and obeyed.
        find_s: How long to wait at the start for a bridge to answer.
        encoding: Of what the devices and the application send.
        protocol: MQTT version; `auto` is 5 where the broker speaks it, which takes far less memory.

    Raises:
        ValueError: One of them is out of its range.
    """

    broker: Broker = field(default_factory=Broker)
    prefix: str = "sync"
    devices: int = 100
    kinds: tuple[Kind, ...] = tuple(KINDS.values())
    rate_hz: float | None = 1.0
    desired_rate_hz: float = 0.1
    seed: int = 1
    duration_s: float | None = None
    ramp_hz: float = 200.0
    converge_s: float = 15.0
    find_s: float = 10.0
    encoding: Encoding = "json"
    protocol: MqttVersion = "3.1.1"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.devices <= DEVICES_MAX:
            raise ValueError(f"devices: {self.devices} is not from 1 to {DEVICES_MAX}")
        if not self.kinds:
            raise ValueError("kinds: at least one is needed")
        if len({kind.name for kind in self.kinds}) < len(self.kinds):
            raise ValueError("kinds: one name stands for two kinds")
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
