"""A store as JSON lines, for every other program and every other kind of store.

One object a line, of the `kind` `header`, `twin`, `history`, `conflict` or `end`, in that order.
Documents are JSON values; a twin's `internals` are base64. The quarantine is left out.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from bridge import __version__
from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt
from bridge.store.base import ConflictRow
from bridge.store.conflicts import CONFLICT_COLUMNS, ConflictColumns
from bridge.store.history import all_history
from bridge.store.reads import TWIN_COLUMNS, TwinRow
from bridge.store.schema import read_facts

FORMAT: Final = "syncbridge-export"
FORMAT_VERSION: Final = 2
"""Raised with every change that an older reader would take wrongly. Version 1 had no conflicts,
and internals of the codec's format 1."""


def export_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Yield what a connection sees, as lines with their line feed.

    Raises:
        StoreCorrupt: A document is not JSON.
        sqlite3.Error: It cannot be read.
    """
    yield _line(
        {
            "kind": "header",
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "program": __version__,
            "metadata": read_facts(connection),
        }
    )
    twins = 0
    for line in _twin_lines(connection):
        twins += 1
        yield line
    changes = 0
    for line in _history_lines(connection):
        changes += 1
        yield line
    conflicts = 0
    for line in _conflict_lines(connection):
        conflicts += 1
        yield line
    yield _line({"kind": "end", "twins": twins, "history": changes, "conflicts": conflicts})


def _twin_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    rows: Iterable[TwinRow] = connection.execute(
        f"SELECT {TWIN_COLUMNS} FROM twin "  # noqa: S608 - only column names
        "LEFT JOIN outbox ON outbox.twin_id = twin.id ORDER BY twin.id"
    )
    for device, name, revision, version, published, present, at, state, delta, internals in rows:
        key = TwinKey(device, name)
        yield _line(
            {
                "kind": "twin",
                "device": device,
                "name": name,
                "revision": revision,
                "version": version,
                "published_version": published,
                "exists": bool(present),
                "at": at,
                "state": _value(key, state),
                "delta": None if delta is None else _value(key, delta),
                "internals": base64.b64encode(internals).decode("ascii"),
            }
        )


def _history_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    for key, version, at, stamp, writer, section, patch, previous in all_history(connection):
        yield _line(
            {
                "kind": "history",
                "device": key.device,
                "name": key.name,
                "version": version,
                "at": at,
                "stamp": stamp,
                "writer": writer,
                "section": section,
                "patch": _value(key, patch),
                "previous": _value(key, previous),
            }
        )


def _conflict_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    rows: Iterable[tuple[str, str, *ConflictColumns]] = connection.execute(
        f"SELECT twin.device, twin.name, {CONFLICT_COLUMNS} FROM conflict "  # noqa: S608
        "CROSS JOIN twin ON twin.id = conflict.twin_id ORDER BY conflict.id"
    )
    for columns in rows:
        row = ConflictRow(TwinKey(*columns[:2]), *columns[2:])
        yield _line(
            {
                "kind": "conflict",
                "device": row.key.device,
                "name": row.key.name,
                "version": row.version,
                "at": row.at,
                "section": row.section,
                "path": _value(row.key, row.path),
                "policy": row.policy,
                "kept": _value(row.key, row.kept),
                "kept_by": row.kept_by,
                "kept_stamp": row.kept_stamp,
                "lost": _value(row.key, row.lost),
                "lost_by": row.lost_by,
                "lost_stamp": row.lost_stamp,
            }
        )


def _value(key: TwinKey, document: bytes) -> object:
    if not document:
        return None  # a deleted twin has no state
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise StoreCorrupt(
            f"a document of twin {key} is not JSON: {error}",
            hint="run `syncbridge store check`, and restore a backup",
        ) from error


def _line(record: dict[str, object]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
