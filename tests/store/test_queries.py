"""Queries on SQLite: the same as in Python, within bounds."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.topics import TwinKey
from bridge.errors import QueryError
from bridge.query.matching import matches
from bridge.query.terms import (
    Among,
    Comparison,
    Field,
    Junction,
    Match,
    Missing,
    Negation,
    Term,
    Truth,
)
from bridge.store.queries import find, statement_of

# Few of each, so that they meet.
_KEYS = st.sampled_from(["a", "b.c", "é"])
_TEXTS = st.text("aAbéÉ%_*?'", max_size=4)
_NUMBERS = st.sampled_from([-1, 0, 1, 2**53 + 1, 2**63 - 1, 0.0, -0.5, 1.0, 9007199254740992.0])
_LEAVES = st.none() | st.booleans() | _NUMBERS | _TEXTS | st.just([1]) | st.just({})
_OBJECTS = st.dictionaries(_KEYS, _LEAVES | st.dictionaries(_KEYS, _LEAVES, max_size=2))
_PATHS = st.tuples(st.sampled_from(["reported", "desired"]), _KEYS) | st.tuples(
    st.just("reported"), _KEYS, _KEYS
)
_FIELDS = st.builds(
    Field, _PATHS | st.sampled_from([("device",), ("name",), ("version",), ("at",), ("online",)])
)
_ORDERS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_CONDITIONS: st.SearchStrategy[Term] = st.one_of(
    st.builds(Comparison, _FIELDS, _ORDERS, _NUMBERS | _TEXTS),
    st.builds(Comparison, _FIELDS, st.sampled_from(["=", "!="]), st.booleans()),
    *(
        st.builds(Among, _FIELDS, st.lists(values, min_size=1, max_size=3).map(tuple))
        for values in (_NUMBERS, _TEXTS, st.booleans())
    ),
    st.builds(Match, _FIELDS, st.sampled_from(["LIKE", "GLOB"]), _TEXTS),
    st.builds(Truth, _FIELDS),
    st.builds(Missing, _FIELDS),
)
_TERMS = st.recursive(
    _CONDITIONS,
    lambda inner: (
        st.builds(Negation, inner)
        | st.builds(
            Junction,
            st.sampled_from(["AND", "OR"]),
            st.lists(inner, min_size=1, max_size=3).map(tuple),
        )
    ),
    max_leaves=6,
)
_DOCUMENTS = st.fixed_dictionaries(
    {
        "version": st.sampled_from([1, 2]),
        "at": st.sampled_from([1, 2]),
        "reported": _OBJECTS,
        "desired": _OBJECTS,
    },
    optional={"online": st.booleans()},
)
_TWINS = st.lists(
    st.tuples(st.text("aAbé%_", min_size=1, max_size=3), st.sampled_from(["", "a"]), _DOCUMENTS),
    max_size=6,
)
_STATEMENTS = """
    SELECT device name state FROM twin WHERE AND OR NOT CASE present WHEN THEN END ORDER BY DESC
    LIMIT IN LIKE GLOB NULL json_type json_extract coalesce CAST AS TEXT true false integer real
    text null version at
"""
_WORDS = set(re.findall(r"\w+", _STATEMENTS))
_TABLE = "CREATE TABLE twin (device TEXT, name TEXT, version INTEGER, at INTEGER, present, state)"


def database(twins: list[tuple[str, str, dict[str, object]]]) -> sqlite3.Connection:
    """Return a database with these twins, the columns as in the store."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(_TABLE)
    for device, name, document in twins:
        state = json.dumps(document, ensure_ascii=False).encode()
        row = (device, name, document["version"], document["at"], 1, state)
        connection.execute("INSERT INTO twin VALUES (?, ?, ?, ?, ?, ?)", row)
    return connection


@given(_TWINS, _TERMS)
def test_finds_what_the_evaluator_finds(
    twins: list[tuple[str, str, dict[str, object]]], term: Term
) -> None:
    """Whatever is asked of whatever twins."""
    unique = list({twin[:2]: twin for twin in twins}.values())
    with contextlib.closing(database(unique)) as connection:
        found = [key for key, _ in find(connection, term, None, 100)]
    expected = [TwinKey(d, n) for d, n, document in unique if matches(term, d, n, document)]
    assert found == sorted(expected)


@given(_TERMS, st.booleans())
def test_nothing_of_a_query_stands_in_the_statement(term: Term, descending: bool) -> None:
    """Its values and keys are bound: the statement is made of the program's own words."""
    statement, parameters = statement_of(term, TwinKey("a"), None, descending=descending)
    words = set(re.findall(r"[A-Za-z_]+", statement))
    assert words <= _WORDS, words - _WORDS
    assert set(re.sub(r"[A-Za-z_ \n]", "", statement)) <= set("()?,=<>!'01")
    assert statement.count("?") == len(parameters) + 1


def test_a_text_ends_at_its_first_zero() -> None:
    """In SQLite and without it."""
    document: dict[str, object] = {
        "version": 1, "at": 1, "reported": {"a": "x\0y"}, "desired": {},
    }  # fmt: skip
    term = Comparison(Field(("reported", "a")), "=", "x")
    assert matches(term, "a", "", document)
    with contextlib.closing(database([("a", "", document)])) as connection:
        assert len(find(connection, term, None, 1)) == 1


def test_counts_only_what_is_admitted() -> None:
    """What is left out takes no place on a page, and does not end one."""
    document: dict[str, object] = {"version": 1, "at": 1, "reported": {}, "desired": {}}
    with contextlib.closing(database([(d, "", document) for d in "abcdef"])) as connection:
        found = find(connection, None, None, 2, admits=lambda key: key.device in "bdf")
        assert [key.device for key, _ in found] == ["b", "d"]
        back = find(
            connection, None, TwinKey("e"), 9, descending=True, admits=lambda k: k.device != "c"
        )
        assert [key.device for key, _ in back] == ["d", "b", "a"]


def test_ends_a_page_that_is_large_enough() -> None:
    """With the twin that makes it so."""
    document: dict[str, object] = {"version": 1, "at": 1, "reported": {}, "desired": {}}
    with contextlib.closing(database([(d, "", document) for d in "abc"])) as connection:
        size_bytes = len(find(connection, None, None, 1)[0][1])
        assert len(find(connection, None, None, 9, bytes_max=size_bytes)) == 1
        assert len(find(connection, None, None, 9, bytes_max=size_bytes + 1)) == 2


def test_finds_a_device_by_the_index_on_keys() -> None:
    """A condition on the device that has to hold is not held against all twins."""
    with contextlib.closing(database([])) as connection:
        connection.execute("CREATE UNIQUE INDEX keys ON twin (device, name)")
        of_device = Comparison(Field(("device",)), "=", "a")
        term = Junction("AND", (of_device, Truth(Field(("online",)))))
        statement, parameters = statement_of(term, None, None, descending=False)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", [*parameters, 1]).fetchall()
        assert "SEARCH twin USING INDEX keys (device=?)" in plan[0][3]


def test_ends_a_query_that_takes_too_long() -> None:
    """And leaves the connection usable."""
    document = {"version": 1, "at": 1, "reported": {"a": "a" * 200}, "desired": {}}
    twins: list[tuple[str, str, dict[str, object]]] = [(f"d{n}", "", document) for n in range(3000)]
    term = Junction("OR", (Match(Field(("reported", "a")), "LIKE", "%b%"),) * 100)
    with contextlib.closing(database(twins)) as connection:
        with pytest.raises(QueryError, match="longer than"):
            find(connection, term, None, 10, timeout_s=0.0)
        assert len(find(connection, None, None, 10)) == 10


def test_goes_on_behind_the_last_key() -> None:
    """Pages come in the order of device and name, and hide twins that do not exist."""
    document: dict[str, object] = {"version": 1, "at": 1, "reported": {}, "desired": {}}
    keys = [("b", ""), ("a", "x"), ("a", ""), ("c", "")]
    with contextlib.closing(database([(*key, document) for key in keys])) as connection:
        connection.execute("UPDATE twin SET present = 0, state = x'' WHERE device = 'c'")
        assert find(connection, Truth(Field(("online",))), None, 9) == []
        first = find(connection, None, None, 2)
        assert [key for key, _ in first] == [("a", ""), ("a", "x")]
        assert [key for key, _ in find(connection, None, first[-1][0], 2)] == [("b", "")]
