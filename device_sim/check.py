"""Holds a twin against its device."""

from __future__ import annotations

from collections.abc import Iterator

from device_sim.device import SimulatedDevice
from device_sim.document import at_path, differences, equal_by_value, leaves, same
from device_sim.summary import TwinDifference
from device_sim.watch import TwinWatch


def twin_differences(
    device: SimulatedDevice, twin: TwinWatch, *, is_contrary: bool = False
) -> Iterator[TwinDifference]:
    """Yield where `reported` is not what the device believes, and what it has not obeyed.

    Types count in the first (1 is not 1.0), and do not in the second, as in a delta. A contrary
    device obeys nothing.
    """
    for path, expected, actual in differences(device.believed, twin.reported):
        yield TwinDifference(device.id, "reported", ".".join(path), expected, actual)
    if is_contrary:
        return
    for path, wanted in leaves(device.kind.obeyed(twin.desired)):
        met = at_path(twin.reported, path)
        if not equal_by_value(wanted, met):
            yield TwinDifference(device.id, "desired", ".".join(path), wanted, met)


def is_settled(
    device: SimulatedDevice,
    twin: TwinWatch,
    acknowledged_version: int,
    *,
    is_contrary: bool = False,
) -> bool:
    """Tell whether nothing is under way for a device, and its twin is as it should be.

    Args:
        device: With all its reports answered.
        twin: What was seen of it.
        acknowledged_version: The highest that any reply has named.
        is_contrary: The device obeys nothing.
    """
    return (
        not device.unanswered
        and twin.version >= acknowledged_version
        and same(device.believed, twin.reported)
        and next(twin_differences(device, twin, is_contrary=is_contrary), None) is None
    )
