"""The fleet changes in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bridge.core.topics import TwinKey
from bridge.store import fleet_changes
from bridge.store.connection import transaction, translated
from bridge.store.fleet_changes import StoredFleetChange, StoredTarget, TargetNote


class SqliteFleetChanges:
    """The tables of fleet changes; see `bridge.store.fleet_changes.FleetChangeStore`.

    Args:
        connection: The owner of the store.
        path: The store's file, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def add(self, change: StoredFleetChange, keys: Sequence[TwinKey]) -> bool:
        """Keep a fleet change with its devices; see `FleetChangeStore.add`."""
        with translated(self._path, "writing to"), transaction(self._connection):
            return fleet_changes.add_change(self._connection, change, keys)

    def list_all(self) -> list[StoredFleetChange]:
        """Return all fleet changes, the newest first."""
        with translated(self._path, "reading"):
            return fleet_changes.list_changes(self._connection)

    def find(self, change_id: str) -> StoredFleetChange | None:
        """Return a fleet change by its id, or None."""
        with translated(self._path, "reading"):
            return fleet_changes.find_change(self._connection, change_id)

    def targets(
        self, change_id: str, after: int, limit: int, states: Sequence[str] = ()
    ) -> list[StoredTarget]:
        """Page through the devices of a fleet change; see `FleetChangeStore.targets`."""
        with translated(self._path, "reading"):
            return fleet_changes.read_targets(self._connection, change_id, after, limit, states)

    def update(
        self,
        change: StoredFleetChange,
        notes: Sequence[TargetNote] = (),
    ) -> None:
        """Keep how a fleet change goes on; see `FleetChangeStore.update`."""
        with translated(self._path, "writing to"), transaction(self._connection):
            fleet_changes.update_change(self._connection, change)
            fleet_changes.write_notes(self._connection, notes)
