"""Fixtures that more than one package's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.support.mosquitto import Mosquitto


@pytest.fixture(autouse=True)
def logs_as_they_are_at_first() -> Iterator[None]:
    """No test sees how another one has set up the logs."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A fresh Mosquitto without persistence."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker
