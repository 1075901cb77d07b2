"""An examination that waits no longer than Mosquitto needs."""

from __future__ import annotations

import pytest

from bridge.doctor import probe

SETTLE_S = 0.05
"""How long nothing may come: Mosquitto sends what there is before it answers the fence."""


def expect_mosquitto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for what other brokers look up on the side."""
    monkeypatch.setattr(probe, "SETTLE_S", SETTLE_S)
