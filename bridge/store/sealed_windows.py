"""What has been received of sealed messages: every boot that was ever begun, as a hash.

For updates the twin remembers which numbers of a boot it has had; here is only that there was that
boot, so that it is not taken for a new one when the twin has forgotten it. For what no twin
remembers (get, delete, presence) the numbers are here as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

BOOTS_PER_KEY: Final = 100_000
"""Boots on all topics together that one key may have: then it has to be replaced, because none may
ever be forgotten while its key is valid. A device that restarts each hour takes eleven years."""

PLACES_AT_ONCE: Final = 300
"""Places asked for in one statement: SQLite binds no more than 999 parameters everywhere."""

TABLE: Final = (
    """
    CREATE TABLE sealed_window (
        device TEXT NOT NULL,
        key_id INTEGER NOT NULL,
        place BLOB NOT NULL,
        highest INTEGER NOT NULL CHECK (highest >= 0),
        seen INTEGER NOT NULL,
        PRIMARY KEY (device, key_id, place)
    ) STRICT, WITHOUT ROWID
    """,
)
"""Statements that make the table."""


class SealedPlace(NamedTuple):
    """One boot on one topic under one key.

    Attributes:
        device: Whose key it is.
        key_id: Which one.
        place: Hash of topic and boot.
    """

    device: str
    key_id: int
    place: bytes


class SealedWindow(NamedTuple):
    """What was received in one place.

    Attributes:
        place: Which.
        highest: The highest number; 0 where the twin remembers it.
        seen: Of the numbers below it, the nearest first, one bit each that was received.
    """

    place: SealedPlace
    highest: int
    seen: int


def write_windows(connection: sqlite3.Connection, windows: Sequence[SealedWindow]) -> None:
    """Keep windows inside the caller's transaction."""
    if not windows:
        return
    connection.executemany(
        "INSERT INTO sealed_window (device, key_id, place, highest, seen) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET highest = excluded.highest, seen = excluded.seen",
        [(*window.place, window.highest, window.seen) for window in windows],
    )


def read_windows(
    connection: sqlite3.Connection, places: Sequence[SealedPlace]
) -> tuple[dict[SealedPlace, SealedWindow], dict[tuple[str, int], int]]:
    """Return those of the windows that are kept; of keys that lack one, how many they have."""
    found = {}
    for start in range(0, len(places), PLACES_AT_ONCE):
        some = places[start : start + PLACES_AT_ONCE]
        marks = ", ".join(["(?, ?, ?)"] * len(some))
        for device, key_id, place, highest, seen in connection.execute(
            "SELECT device, key_id, place, highest, seen FROM sealed_window "  # noqa: S608
            f"WHERE (device, key_id, place) IN (VALUES {marks})",
            [value for asked in some for value in asked],
        ):
            key = SealedPlace(device, key_id, place)
            found[key] = SealedWindow(key, highest, seen)
    lacking = {(place.device, place.key_id) for place in places if place not in found}
    return found, {key: _count(connection, *key) for key in lacking}


def _count(connection: sqlite3.Connection, device: str, key_id: int) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM sealed_window WHERE device = ? AND key_id = ?", (device, key_id)
    ).fetchone()
    return int(count)


def forget_windows(connection: sqlite3.Connection, keys: Iterable[tuple[str, int]]) -> None:
    """Forget the windows of keys that open nothing any more."""
    connection.executemany("DELETE FROM sealed_window WHERE device = ? AND key_id = ?", keys)
