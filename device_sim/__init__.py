"""Simulated fleets of devices, to try a broker, a bridge or an application against.

As a library::

    fleet = Fleet(FleetOptions(devices=20, duration_s=30.0))
    summary = await fleet.run()      # meanwhile: fleet.devices, fleet.twins, fleet.progress()
    print(summary.ok)

and with a story and faults::

    options = fleet_options(SCENARIOS["power-cut"], faults=(parse_fault("loss=5%"),))

It knows of the bridge only what any other device knows: `bridge.device` and the topics.
"""

from device_sim.broker import Broker
from device_sim.device import ReportCounts, SimulatedDevice
from device_sim.faults import FAULTS, Fault, parse_fault
from device_sim.fleet import Fleet, Phase, Progress
from device_sim.html_report import html_report
from device_sim.kinds import KINDS, Kind, read_kinds
from device_sim.options import FleetOptions, fleet_options
from device_sim.scenarios import SCENARIOS, Scenario, read_scenario
from device_sim.summary import Summary, TwinDifference
from device_sim.watch import TwinWatch

__all__ = [
    "FAULTS",
    "KINDS",
    "SCENARIOS",
    "Broker",
    "Fault",
    "Fleet",
    "FleetOptions",
    "Kind",
    "Phase",
    "Progress",
    "ReportCounts",
    "Scenario",
    "SimulatedDevice",
    "Summary",
    "TwinDifference",
    "TwinWatch",
    "fleet_options",
    "html_report",
    "parse_fault",
    "read_kinds",
    "read_scenario",
]
