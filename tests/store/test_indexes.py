"""Indexes by configuration: SQLite uses them, and what is found is the same."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given

from bridge.core.topics import TwinKey
from bridge.query.language import parse_where
from bridge.query.matching import matches
from bridge.query.terms import Junction, Term
from bridge.store import indexes
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.indexed_paths import INDEXES_MAX, parse_indexed_paths
from bridge.store.indexes import choose_range, read_indexes, set_indexes
from bridge.store.queries import conjuncts_of, find, statement_of
from bridge.store.sqlite import SqliteStore
from tests.store.samples import twin
from tests.store.test_queries import _CONDITIONS, _TERMS, _TWINS, database

BATTERY = ("reported", "battery")
MODE = ("desired", "mode")


def plan(connection: sqlite3.Connection, where: str) -> str:
    """How SQLite finds what a query asks for."""
    term = parse_where(where)
    chosen = choose_range(connection, conjuncts_of(term))
    statement, parameters = statement_of(term, TwinKey("a"), chosen, descending=False)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [*parameters, 1])
    return "; ".join(row[3] for row in rows)


@pytest.fixture
def fleet() -> sqlite3.Connection:
    """A hundred twins, with two indexes."""
    twins: list[tuple[str, str, dict[str, object]]] = [
        (
            f"d{number:02}",
            "",
            {
                "version": 1,
                "at": 1,
                "reported": {"battery": number, "on": number % 2 == 0},
                "desired": {"mode": "eco" if number % 10 else "night"},
            },
        )
        for number in range(100)
    ]
    connection = database(twins)
    connection.execute("CREATE UNIQUE INDEX keys ON twin (device, name)")
    set_indexes(connection, [BATTERY, MODE])
    return connection


@pytest.mark.parametrize(
    ("where", "used"),
    [
        ("reported.battery < 20", "twin_by_reported.battery (<expr><?)"),
        ("reported.battery > 90", "twin_by_reported.battery (<expr>>? AND <expr><?)"),
        ("reported.battery = 20", "twin_by_reported.battery (<expr>=?)"),
        ("20 >= reported.battery", "twin_by_reported.battery"),
        ("reported.battery BETWEEN 3 AND 5 AND online", "twin_by_reported.battery"),
        ("reported.battery IN (1, 2, 3)", "twin_by_reported.battery (<expr>=?)"),
        ("reported.battery IS NULL", "twin_by_reported.battery (<expr>=?)"),
        ("desired.mode = 'night' AND reported.battery < 90", "twin_by_desired.mode"),
        ("desired.mode >= 'n' AND reported.battery < 90", "twin_by_desired.mode"),
        ("reported.battery < 3 AND desired.mode = 'eco'", "twin_by_reported.battery"),
        ("reported.battery != 3", "keys"),
        ("reported.battery < 3 OR online", "keys"),
        ("NOT reported.battery < 3", "keys"),
        ("reported.on", "keys"),
    ],
)
def test_a_query_is_found_by_the_index_that_helps_most(
    fleet: sqlite3.Connection, where: str, used: str
) -> None:
    """As SQLite's own plan says; where none helps, in the order of keys."""
    with contextlib.closing(fleet):
        steps = plan(fleet, where)
        assert f"SEARCH twin USING INDEX {used}" in steps
        found = [key.device for key, _ in find(fleet, parse_where(where), None, 1000)]
        set_indexes(fleet, [])
        assert "twin_by" not in plan(fleet, where)
        assert found == [key.device for key, _ in find(fleet, parse_where(where), None, 1000)]


def test_a_range_with_many_twins_is_not_sorted(
    fleet: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page in the order of keys ends sooner."""
    monkeypatch.setattr(indexes, "ROWS_MAX", 50)
    with contextlib.closing(fleet):
        assert "twin_by_reported.battery" in plan(fleet, "reported.battery < 40")
        assert "twin_by_reported.battery" not in plan(fleet, "reported.battery < 60")


_ASKED = _CONDITIONS | _TERMS


@given(_TWINS, _ASKED, _ASKED)
def test_finds_what_the_evaluator_finds(
    twins: list[tuple[str, str, dict[str, object]]], one: Term, other: Term
) -> None:
    """Whatever is indexed: values of all types, and twins that are deleted."""
    term = Junction("AND", (one, other))
    unique = list({twin[:2]: twin for twin in twins}.values())
    with contextlib.closing(database(unique)) as connection:
        connection.execute("INSERT INTO twin VALUES ('gone', '', 3, 3, 0, x'')")
        for path in (("reported", "a"), ("desired", "a"), ("reported", "a", "a")):
            set_indexes(connection, [path])
            found = [key for key, _ in find(connection, term, None, 100)]
            expected = [TwinKey(d, n) for d, n, doc in unique if matches(term, d, n, doc)]
            assert found == sorted(expected)


def test_the_store_makes_and_drops_them_at_its_start(tmp_path: Path) -> None:
    """Who opens it without saying which leaves them as they are; commits keep them up to date."""
    path = tmp_path / "store.db"

    def open_store(*paths: tuple[str, ...], keep: bool = False) -> SqliteStore:
        return SqliteStore.open(path, limits=StoreLimits(), indexes=None if keep else paths)

    def indexed() -> set[tuple[str, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return set(read_indexes(connection))

    for paths in ([BATTERY], [BATTERY, MODE], [MODE], []):
        open_store(*paths).close()
        assert indexed() == set(paths)
        open_store(keep=True).close()
        assert indexed() == set(paths)
    store = open_store(BATTERY)
    with contextlib.closing(store):
        state = b'{"version":1,"at":1,"reported":{"battery":7},"desired":{}}'
        assert not store.commit(CommitBatch([twin("a")._replace(state=state)]))
        found = store.find(parse_where("reported.battery = 7"), None, 9)
        assert [key.device for key, _ in found] == ["a"]
        assert store.check() == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("battery", "no path"),
        ("reported", "no path"),
        ("online", "no path"),
        ("reported.", "key ''"),
        ("reported..a", "key ''"),
        ("reported.a b", "key 'a b'"),
        ("reported.a'", "key"),
        ('reported."a"', "key"),
        ("reported.é", "key"),
        ("reported." + "a" * 65, "1 to 64"),
        ("reported" + ".a" * 17, "more than 16 keys"),
        (",".join(f"reported.a{n}" for n in range(INDEXES_MAX + 1)), "at most"),
    ],
)
def test_a_path_that_cannot_be_indexed_is_refused(text: str, reason: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match=reason):
        parse_indexed_paths(f"{text}, desired.mode")
