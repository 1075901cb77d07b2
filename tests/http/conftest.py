"""Fixtures of the HTTP API's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.served import Served, http_config, serving
from tests.support.mosquitto import Mosquitto


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bridge without permissions, for all tests of a module."""
    directory: Path = tmp_path_factory.mktemp("served")
    with (
        Mosquitto(directory / "mosquitto") as broker,
        serving(http_config(broker, directory)) as running,
    ):
        yield running
