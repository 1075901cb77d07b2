"""The kinds of device that can be simulated, by name."""

from __future__ import annotations

from device_sim.kinds.base import Field, Kind
from device_sim.kinds.door_lock import DOOR_LOCK
from device_sim.kinds.energy_meter import ENERGY_METER
from device_sim.kinds.lamp import LAMP
from device_sim.kinds.thermostat import THERMOSTAT
from device_sim.kinds.tracker import TRACKER

__all__ = ["KINDS", "Field", "Kind"]

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (THERMOSTAT, LAMP, ENERGY_METER, TRACKER, DOOR_LOCK)
}
