"""Devices by number, and their topics, which are all of one length."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "sync"

MOST_DEVICES: Final = 10_000_000
"""What the digits in a name hold."""

PROBE_REPORT: Final = f"{PREFIX}/probe/report"
"""A device that is published to until it is seen, to know that a peer is ready."""

PROBE_STATE: Final = f"{PREFIX}/probe/state"

STATES: Final = f"{PREFIX}/+/state"

REPORTS: Final = f"{PREFIX}/+/report"

_INDEX: Final = slice(-len("0000000/state"), -len("/state"))


def device_name(index: int) -> str:
    """Return the name of a device, from 0 on."""
    return f"device-{index:07}"


def report_topic(index: int) -> str:
    """Return where a device publishes."""
    return f"{PREFIX}/{device_name(index)}/report"


def index_of(state_topic: str) -> int:
    """Return the device of a state topic.

    Raises:
        ValueError: It is no device of the fleet, such as the probe.
    """
    return int(state_topic[_INDEX])
