"""Keys of twins in the order of their names, for lists that people page through."""

from __future__ import annotations

import sqlite3

from bridge.core.topics import TwinKey

_ASCENDING = (
    "SELECT device, name FROM twin WHERE (device, name) > (?, ?) ORDER BY device, name LIMIT ?"
)
_DESCENDING = (
    "SELECT device, name FROM twin WHERE (device, name) < (?, ?) "
    "ORDER BY device DESC, name DESC LIMIT ?"
)
_LAST = "\U0010ffff"
"""Above every device id."""


def list_keys(
    connection: sqlite3.Connection, after: TwinKey | None, limit: int, *, descending: bool
) -> list[TwinKey]:
    """Return keys behind one, also of twins that were deleted; from the index alone."""
    if after is None:
        after = TwinKey(_LAST if descending else "")
    statement = _DESCENDING if descending else _ASCENDING
    return [TwinKey(*row) for row in connection.execute(statement, (*after, limit))]
