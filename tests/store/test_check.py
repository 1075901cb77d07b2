"""What `check` finds, and how it says it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from bridge.store.check import PROBLEMS_MAX, document_version
from bridge.store.sqlite import SqliteStore
from tests.store.samples import change, commit, conflict, twin


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "UPDATE outbox SET published_version = 1 WHERE twin_id = 1",
            "twin a: the outbox says that version 1 is published, the twin is at 1",
        ),
        (
            "UPDATE history_block SET changes = CAST(replace(changes, '[1,', '[9,') AS BLOB)",
            "twin a: its history reaches version 9, the twin itself only 1",
        ),
        (
            "UPDATE history_block SET version = 9",
            "twin a: its history has version 1 where 9 should be",
        ),
        (
            "UPDATE history_block SET changes = x'5b31'",
            "the history of twin 'a' cannot be read: ",
        ),
        (
            "UPDATE conflict SET version = 9",
            "twin a: its conflict log reaches version 9, the twin itself only 1",
        ),
        (
            "UPDATE twin SET state = CAST('{\"version\":7}' AS BLOB) WHERE id = 2",
            "twin a/config: its state says version 7, the twin is at 1",
        ),
        (
            "UPDATE twin SET state = x'7b' WHERE id = 1",
            "twin a: its state says version None, the twin is at 1",
        ),
        (
            "UPDATE twin SET delta = CAST('{\"version\":7}' AS BLOB) WHERE id = 1",
            "twin a: its delta says version 7, the twin is at 1",
        ),
        ("DELETE FROM twin WHERE id = 1", "history_block: row 1 refers to a missing row of twin"),
        (
            "DELETE FROM metadata WHERE name = 'instance'",
            "the store has no identity: the fact `instance` is missing",
        ),
    ],
)
def test_check_names_what_contradicts_itself(
    open_sqlite: Callable[..., SqliteStore], statement: str, problem: str
) -> None:
    """Each contradiction is one line that names the twin."""
    store = open_sqlite()
    commit(
        store,
        [twin("a", wanted=True), twin("a", name="config")],
        [change(1, "a")],
        [conflict(1, "a")],
    )
    assert store.check() == []
    store._connection.execute(statement)
    assert any(line.startswith(problem) for line in store.check())


def test_check_stops_after_enough_problems(open_sqlite: Callable[..., SqliteStore]) -> None:
    """A report is bounded, and says that there is more."""
    store = open_sqlite()
    commit(store, [twin(f"d{i}") for i in range(PROBLEMS_MAX + 50)])
    store._connection.execute("UPDATE twin SET state = x'7b'")
    problems = store.check()
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1] == "and more"


def test_check_tells_damaged_structures_first(open_sqlite: Callable[..., SqliteStore]) -> None:
    """SQLite's own findings come alone: what else is said of a damaged file means nothing."""
    store = open_sqlite()
    commit(store, [twin("a")])
    store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON;"
            "UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'twin_absent';"
        )
    problems = open_sqlite().check()
    assert problems
    assert not any("twin a:" in line for line in problems)


@pytest.mark.parametrize(
    ("document", "version"),
    [(b'{"version":3}', 3), (b'{"version":true}', None), (b'{"version":1.0}', None)]
    + [(document, None) for document in (b"[1]", b"", b"{}", b"\xff")],
)
def test_version_of_a_document(document: bytes, version: int | None) -> None:
    """Only an integer counts."""
    assert document_version(document) == version
