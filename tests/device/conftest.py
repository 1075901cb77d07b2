"""Fixtures of the device library's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.device import Device
from tests.device.scripted_bridge import ScriptedBridge
from tests.support.mosquitto import Mosquitto


@pytest.fixture
def bridge(mosquitto: Mosquitto) -> Iterator[ScriptedBridge]:
    """A scripted bridge on a fresh broker."""
    with ScriptedBridge(mosquitto) as scripted:
        yield scripted


@pytest.fixture
def lamp(mosquitto: Mosquitto, bridge: ScriptedBridge) -> Iterator[Device]:
    """A device that is connected to the bridge's broker."""
    with Device("lamp-1", port=mosquitto.port) as device:
        yield device
