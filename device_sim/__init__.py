"""Simulated fleets of devices, to try a broker, a bridge or an application against.

As a library::

    fleet = Fleet(FleetOptions(devices=20, duration_s=30.0))
    summary = await fleet.run()      # meanwhile: fleet.devices, fleet.twins, fleet.progress()
    print(summary.ok)

It knows of the bridge only what any other device knows: `bridge.device` and the topics.
"""

from device_sim.broker import Broker
from device_sim.device import ReportCounts, SimulatedDevice
from device_sim.fleet import Fleet, Phase, Progress
from device_sim.kinds import KINDS, Kind
from device_sim.options import FleetOptions
from device_sim.summary import Summary, TwinDifference
from device_sim.watch import TwinWatch

__all__ = [
    "KINDS",
    "Broker",
    "Fleet",
    "FleetOptions",
    "Kind",
    "Phase",
    "Progress",
    "ReportCounts",
    "SimulatedDevice",
    "Summary",
    "TwinDifference",
    "TwinWatch",
]
