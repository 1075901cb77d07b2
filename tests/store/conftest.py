"""Stores of every kind, for the tests that each of them has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from bridge.store.base import Store, StoreLimits
from bridge.store.sqlite import SqliteStore


class OpenStore(Protocol):
    """Opens a store by name; the same name leads to the same store."""

    def __call__(self, name: str = "store", *, limits: StoreLimits = ...) -> Store:
        """Open it, or make it."""


@pytest.fixture
def open_sqlite(tmp_path: Path) -> Iterator[Callable[..., SqliteStore]]:
    """A function that opens SQLite stores below the test's directory, closed at its end."""
    opened: list[SqliteStore] = []

    def open_store(name: str = "store", *, limits: StoreLimits | None = None) -> SqliteStore:
        store = SqliteStore.open(tmp_path / f"{name}.db", limits=limits or StoreLimits())
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """The same for every kind of store."""
    opened: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opened


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    """An empty store of every kind."""
    return open_store()
