"""Verifies a store: SQLite's own structures, and what the bridge relies on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import orjson

from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt
from bridge.store.history_codec import rows_of
from bridge.store.schema import INSTANCE, read_facts

PROBLEMS_MAX = 100
"""Lines of a report: whoever has more than that restores a backup."""


def find_problems(connection: sqlite3.Connection) -> list[str]:
    """Return what is wrong with a store, one line each; `PROBLEMS_MAX` lines and one at most.

    Raises:
        sqlite3.Error: It is so damaged that it cannot be read to its end.
    """
    structural = _integrity(connection)
    # Where trees are damaged, what the queries below say means nothing.
    found = structural or list(islice(_logical(connection), PROBLEMS_MAX + 1))
    if len(found) > PROBLEMS_MAX:
        return [*found[:PROBLEMS_MAX], "and more"]
    return found


def _integrity(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX + 1})").fetchall()
    return [text for (text,) in rows if text != "ok"]


def _logical(connection: sqlite3.Connection) -> Iterator[str]:
    if not read_facts(connection).get(INSTANCE):
        yield "the store has no identity: the fact `instance` is missing"
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield f"{table}: row {rowid} refers to a missing row of {parent}"
    yield from chain(
        _rows(
            connection.execute(
                "SELECT device, name, published_version, version FROM outbox "
                "JOIN twin ON twin.id = outbox.twin_id WHERE published_version >= version"
            ),
            "the outbox says that version {} is published, the twin is at {}",
        ),
        _rows(
            connection.execute(
                "SELECT device, name, max(conflict.version), twin.version FROM twin "
                "JOIN conflict ON conflict.twin_id = twin.id GROUP BY twin.id "
                "HAVING max(conflict.version) > twin.version"
            ),
            "its conflict log reaches version {}, the twin itself only {}",
        ),
        _documents(connection),
        _history(connection),
    )


def _rows(rows: Iterable[tuple[str, str, int, int]], text: str) -> Iterator[str]:
    for device, name, first, second in rows:
        yield f"twin {TwinKey(device, name)}: {text.format(first, second)}"


def _documents(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT device, name, version, state, delta FROM twin WHERE present = 1"
    )
    for device, name, version, state, delta in rows:
        key = TwinKey(device, name)
        found = document_version(state)
        if found != version:
            yield f"twin {key}: its state says version {found}, the twin is at {version}"
        if delta is not None:
            of_delta = document_version(delta)
            if of_delta is None or of_delta > version:
                yield f"twin {key}: its delta says version {of_delta}, the twin is at {version}"


def _history(connection: sqlite3.Connection) -> Iterator[str]:
    rows = connection.execute(
        "SELECT device, name, twin.version, history_block.version, changes FROM history_block "
        "JOIN twin ON twin.id = twin_id"
    )
    for device, name, version, first, changes in rows:
        key = TwinKey(device, name)
        try:
            versions = [row.version for row in rows_of(key, changes)]
        except StoreCorrupt as error:
            yield error.message
            continue
        if versions[-1] != first:
            yield f"twin {key}: its history has version {versions[-1]} where {first} should be"
        if versions[0] > version:
            yield (
                f"twin {key}: its history reaches version {versions[0]}, "
                f"the twin itself only {version}"
            )


def document_version(document: bytes) -> int | None:
    """Return the `version` in a published document, or None if it has none."""
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    version = value.get("version") if isinstance(value, dict) else None
    return version if type(version) is int else None
