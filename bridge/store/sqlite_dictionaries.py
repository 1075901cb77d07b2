"""The dictionaries in SQLite."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from bridge.store import dictionaries
from bridge.store.connection import transaction, translated
from bridge.store.dictionaries import StoredDictionary


class SqliteDictionaries:
    """The table of dictionaries; see `bridge.store.dictionaries.DictionaryStore`.

    Args:
        connection: The owner of the store.
        path: The store's file, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def add(self, dictionary: StoredDictionary, kept: int) -> list[int]:
        """Make a dictionary the current one, durably; returns the ids of those beyond `kept`."""
        with translated(self._path, "writing to"), transaction(self._connection):
            return dictionaries.add_dictionary(self._connection, dictionary, kept)

    def list_all(self) -> list[StoredDictionary]:
        """Return all dictionaries, the current one first."""
        with translated(self._path, "reading"):
            return dictionaries.list_dictionaries(self._connection)
