"""A store that is held, and short directories for sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.api import AdminClient
from tests.api.held import Holder, holding


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for a socket, whatever pytest's own is called."""
    with tempfile.TemporaryDirectory(prefix="sb-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def held(short_path: Path) -> Iterator[Holder]:
    """An empty store that is held."""
    with holding(short_path / "store.db") as holder:
        yield holder


@pytest.fixture
def client(held: Holder) -> Iterator[AdminClient]:
    """A client of its holder."""
    with AdminClient(held.store.path) as client:
        yield client
