"""Fixtures that more than one package's tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A fresh Mosquitto without persistence."""
    with Mosquitto(tmp_path / "mosquitto") as broker:
        yield broker
