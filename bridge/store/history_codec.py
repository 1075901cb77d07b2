"""A twin's changes as lines of JSON: a commit keeps those of one twin together, as one block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import orjson

from bridge.core.reconcile import Change
from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt
from bridge.store.base import HistoryBlock, HistoryRow


def encode_change(change: Change) -> bytes:
    """Return one line of a block, without its line feed.

    It is an array: version, at, stamp, writer, section, patch, previous.
    """
    # orjson takes plain tuples only, and a slice of a named one is plain.
    return orjson.dumps(change[:])


def block_of(key: TwinKey, at: int, lines: Sequence[bytes]) -> HistoryBlock:
    """Join the changes of one twin.

    Args:
        key: The twin.
        at: When the newest of them was made, in µs since the epoch.
        lines: One at least, as `encode_change` makes them, the oldest first.
    """
    return HistoryBlock(key, _version_at(lines[0], 0), at, b"\n".join(lines))


def last_version(changes: bytes) -> int:
    """Return the version of the newest change of a block."""
    return _version_at(changes, changes.rfind(b"\n") + 1)


def _version_at(changes: bytes, start: int) -> int:
    return int(changes[start + 1 : changes.index(b",", start)])


def blocks_of(rows: Iterable[HistoryRow]) -> list[HistoryBlock]:
    """Return a block for each change.

    Raises:
        ValueError: A patch is not JSON.
    """
    return [block_of(row.key, row.at, [_line(row)]) for row in rows]


def _line(row: HistoryRow) -> bytes:
    _, version, at, stamp, writer, section, patch, previous = row
    return orjson.dumps(
        (version, at, stamp, writer, section, orjson.loads(patch), orjson.loads(previous))
    )


def rows_of(key: TwinKey, changes: bytes) -> Iterator[HistoryRow]:
    """Yield the changes of a block, the newest first.

    Raises:
        StoreCorrupt: They are not what `encode_change` makes.
    """
    dumps = orjson.dumps
    for line in reversed(changes.split(b"\n")):
        try:
            version, at, stamp, writer, section, patch, previous = orjson.loads(line)
        except (ValueError, TypeError) as error:
            raise StoreCorrupt(
                f"the history of twin {str(key)!r} cannot be read: {error}",
                hint="run `syncbridge store check`, and restore a backup",
            ) from error
        yield HistoryRow(key, version, at, stamp, writer, section, dumps(patch), dumps(previous))
