"""Waiting until a device knows what is wrong."""

from __future__ import annotations

import time

import pytest

from bridge.device import Device
from bridge.errors import NotAnswered
from tests.device.scripted_bridge import PATIENCE_S


def wait_for_problem(lamp: Device, problem: str) -> None:
    """Ask until the answer says what is wrong."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with pytest.raises(NotAnswered) as caught:
            lamp.get(timeout_s=0.1)
        if problem in str(caught.value):
            return
    pytest.fail(f"never said {problem!r}")
