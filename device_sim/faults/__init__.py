"""Faults: what they are, what the seed decides, and the layer in which messages meet them."""

from device_sim.faults.catalogue import FAULTS, Acts, FaultKind
from device_sim.faults.clock import DeviceClock
from device_sim.faults.decisions import DeviceFaults, FaultPlan, Strike, chance
from device_sim.faults.fault import Fault, parse_fault
from device_sim.faults.line import FaultyLine

__all__ = [
    "FAULTS",
    "Acts",
    "DeviceClock",
    "DeviceFaults",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FaultyLine",
    "Strike",
    "chance",
    "parse_fault",
]
