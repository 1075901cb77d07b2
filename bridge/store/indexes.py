"""Indexes on what twins hold, and which of them a query is found by.

An index holds the value of a path for every twin that exists. A query is found by one where every
twin that it finds has to lie within a range of it, and few do; that they match is looked at
all the same, because an index does not tell a boolean from a number.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from bridge.logs import get_logger
from bridge.query.terms import Among, Comparison, Field, Missing, Term, Truth, kind_of
from bridge.store.connection import transaction
from bridge.store.indexed_paths import parse_indexed_path

ROWS_MAX: Final = 10_000
"""An index in whose range so many twins lie is not used: they have to be sorted, and pages of them
are found sooner in the order of keys."""

_PREFIX: Final = "twin_by_"

_log = get_logger("bridge.store")

Bound = str | int | float


class Range(NamedTuple):
    """A part of an index.

    Attributes:
        name: The index.
        tests: Conditions on its expression, joined by AND.
        values: What is bound to them.
    """

    name: str
    tests: str
    values: tuple[Bound, ...]


def set_indexes(connection: sqlite3.Connection, paths: Collection[tuple[str, ...]]) -> None:
    """Make the indexes on these paths, and drop all others, all or nothing.

    Raises:
        sqlite3.Error: The store cannot be written.
    """
    present = {_name(path) for path in read_indexes(connection)}
    wanted = {_name(path): path for path in paths}
    for name in sorted(present - wanted.keys()):
        with transaction(connection):
            connection.execute(f'DROP INDEX "{name}"')
        _log.info("an index is dropped", index=name)
    for name in sorted(wanted.keys() - present):
        began = time.perf_counter()
        with transaction(connection):
            connection.execute(f'CREATE INDEX "{name}" ON twin ({_expression(wanted[name])})')
        took_s = round(time.perf_counter() - began, 3)
        _log.info("an index is made", index=name, seconds=took_s)


def read_indexes(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Return the paths on which there are indexes."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
    return [
        parse_indexed_path(name.removeprefix(_PREFIX))
        for (name,) in rows
        if name.startswith(_PREFIX)
    ]


def choose_range(connection: sqlite3.Connection, conjuncts: Iterable[Term]) -> Range | None:
    """Return the range of an index in which the fewest twins lie; None where none is of use.

    Args:
        connection: A reader.
        conjuncts: Terms that are all true of what is to be found.
    """
    best, fewest = None, ROWS_MAX
    for candidate in _ranges(read_indexes(connection), list(conjuncts)):
        # From the index alone: no document is read.
        statement = (
            f'SELECT count(*) FROM (SELECT 1 FROM twin INDEXED BY "{candidate.name}" '  # noqa: S608
            f"WHERE {candidate.tests} LIMIT ?)"
        )
        (rows,) = connection.execute(statement, (*candidate.values, fewest)).fetchone()
        if rows < fewest:
            best, fewest = candidate, rows
    return best


def _ranges(paths: Iterable[tuple[str, ...]], conjuncts: Collection[Term]) -> Iterator[Range]:
    for path in paths:
        tests: list[str] = []
        values: list[Bound] = []
        for term in conjuncts:
            test = _test(term, Field(path))
            if test is not None:
                tests.append(f"{_expression(path)} {test[0]}")
                values += test[1]
        if tests:
            yield Range(_name(path), " AND ".join(tests), tuple(values))


def _test(term: Term, field: Field) -> tuple[str, tuple[Bound, ...]] | None:
    """Return what holds of a field where a term is true, as far as an index can tell."""
    if not isinstance(term, Comparison | Among | Truth | Missing) or term.field != field:
        return None
    if isinstance(term, Truth):
        return "= 1", ()
    if isinstance(term, Missing):
        return "IS NULL", ()
    if isinstance(term, Among):
        return f"IN ({', '.join('?' * len(term.values))})", term.values
    signs = {"=": "= ?", "<": "< ?", "<=": "<= ?", ">": "> ?", ">=": ">= ?"}
    sign = signs.get(term.operator)
    if sign is None:
        return None
    # Texts lie above numbers, all of them: the range ends where the type does.
    is_text, is_below = kind_of(term.value) == "text", term.operator.startswith("<")
    if is_text == is_below and term.operator != "=":
        sign += f" AND {_expression(field.path)} {'>=' if is_text else '<'} ''"
    return sign, (term.value,)


def _name(path: tuple[str, ...]) -> str:
    return _PREFIX + ".".join(path)


def _expression(path: tuple[str, ...]) -> str:
    """Return what is indexed. Written the same in an index and in a query, or it is not used."""
    keys = "".join(f'."{key}"' for key in path)
    # The state of a deleted twin is not JSON.
    return f"CASE present WHEN 1 THEN json_extract(CAST(state AS TEXT), '${keys}') END"
