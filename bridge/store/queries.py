"""Queries over twins as SQL. What a user has written comes into it as bound parameters only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Literal

from bridge.core.topics import TwinKey
from bridge.errors import QueryError
from bridge.query.terms import (
    COLUMNS,
    Among,
    Comparison,
    Field,
    Junction,
    Kind,
    Match,
    Missing,
    Negation,
    Term,
    Truth,
    fields_of,
    kind_of,
)
from bridge.store.indexes import Range, choose_range

QUERY_TIMEOUT_S = 5.0
"""Longest time that one query may take."""

_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's machine: well below a millisecond
_DOCUMENT = "CAST(state AS TEXT)"
_TYPES: dict[Kind, str] = {
    "boolean": "('true', 'false')",
    "number": "('integer', 'real')",
    "text": "('text')",
}


def find(
    connection: sqlite3.Connection,
    term: Term | None,
    after: TwinKey | None,
    limit: int,
    *,
    descending: bool = False,
    admits: Callable[[TwinKey], bool] | None = None,
    bytes_max: int | None = None,
    timeout_s: float = QUERY_TIMEOUT_S,
) -> list[tuple[TwinKey, bytes]]:
    """Return twins that exist and their states as published, ordered by device and name.

    Args:
        connection: A reader of its own for this query.
        term: What they must be; None for all.
        after: Only those behind this one.
        limit: Most that are returned.
        descending: Backwards; behind is then before.
        admits: Told each key that is found: whether it counts. What it leaves out has no effect
            on what is returned.
        bytes_max: Ends with the state with which all of them have so many bytes.
        timeout_s: Longest time.

    Raises:
        QueryError: It took longer.
        sqlite3.Error: The store cannot be read.
    """
    deadline = time.monotonic() + timeout_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    found: list[tuple[TwinKey, bytes]] = []
    size_bytes = 0
    try:
        chosen = choose_range(connection, conjuncts_of(term))
        statement, parameters = statement_of(term, after, chosen, descending=descending)
        parameters.append(limit if admits is None else -1)
        for device, name, state in connection.execute(statement, parameters):
            key = TwinKey(device, name)
            if admits is not None and not admits(key):
                continue
            found.append((key, state))
            size_bytes += len(state)
            if len(found) == limit or (bytes_max is not None and size_bytes >= bytes_max):
                break
    except sqlite3.OperationalError as error:
        if time.monotonic() > deadline and error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise QueryError(
                f"the query took longer than {timeout_s:g} s",
                hint="ask for fewer twins: `device > '...'`, or a smaller limit",
            ) from error
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return found


def statement_of(
    term: Term | None, after: TwinKey | None, chosen: Range | None, *, descending: bool
) -> tuple[str, list[str | int | float]]:
    """Return the statement, and what is bound to it but the limit.

    Only constants and signs of this module are in its text, and what is indexed by configuration;
    see `condition_of`.
    """
    sign, order = ("<", " DESC") if descending else (">", "")
    parameters: list[str | int | float] = []
    conditions = []
    indexed = ""
    if chosen is not None:
        indexed = f' INDEXED BY "{chosen.name}"'
        conditions.append(chosen.tests)
        parameters += chosen.values
    if after is not None:
        conditions.append(f"(device, name) {sign} (?, ?)")
        parameters += after
    # A second time, and outside of the CASE: there SQLite finds them by the index on keys.
    conditions += [_write(part, parameters) for part in conjuncts_of(term) if _is_of_key(part)]
    # A CASE, because AND promises no order, and the state of a deleted twin is not JSON.
    whole = "1" if term is None else _write(term, parameters)
    conditions.append(f"CASE present WHEN 1 THEN {whole} END")
    statement = (
        f"SELECT device, name, state FROM twin{indexed} "  # noqa: S608
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY device{order}, name{order} LIMIT ?"
    )
    return statement, parameters


def _is_of_key(term: Term) -> bool:
    return all(field.path[0] in ("device", "name") for field in fields_of(term))


def conjuncts_of(term: Term | None) -> Iterator[Term]:
    """Yield terms that are all true where a term is."""
    if isinstance(term, Junction) and term.operator == "AND":
        for part in term.terms:
            yield from conjuncts_of(part)
    elif term is not None:
        yield term


def condition_of(term: Term) -> tuple[str, list[str | int | float]]:
    """Return a term as a condition on the table `twin`, and what is bound to it, in order."""
    parameters: list[str | int | float] = []
    return _write(term, parameters), parameters


def _write(term: Term, bound: list[str | int | float]) -> str:
    if isinstance(term, Junction):
        joint: Literal[" AND ", " OR "] = " AND " if term.operator == "AND" else " OR "
        return f"({joint.join(_write(part, bound) for part in term.terms)})"
    if isinstance(term, Negation):
        return f"(NOT {_write(term.term, bound)})"
    if isinstance(term, Missing):
        return _missing(term.field, bound)
    if isinstance(term, Truth):
        return _typed(term.field, "boolean", "", bound)
    if isinstance(term, Match):
        operator = "GLOB" if term.operator == "GLOB" else "LIKE"
        return _typed(term.field, "text", f"{operator} ?", bound, term.pattern)
    if isinstance(term, Among):
        marks = ", ".join("?" * len(term.values))
        kind = kind_of(term.values[0])
        return _typed(term.field, kind, f"IN ({marks})", bound, *term.values)
    return _compare(term, bound)


def _compare(term: Comparison, bound: list[str | int | float]) -> str:
    signs = {"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
    sign = signs[term.operator]
    return _typed(term.field, kind_of(term.value), f"{sign} ?", bound, term.value)


def _missing(field: Field, bound: list[str | int | float]) -> str:
    if field.path[0] in COLUMNS:
        return "0"
    bound.append(_path(field))
    return f"(coalesce(json_type({_DOCUMENT}, ?), 'null') = 'null')"


def _typed(
    field: Field,
    kind: Kind | None,
    test: str,
    bound: list[str | int | float],
    *values: str | int | float,
) -> str:
    """Return a test of a field that is unknown (NULL) where the field is of another type."""
    assert kind is not None  # noqa: S101 - values of queries are scalars
    column = field.path[0]
    if column in COLUMNS:
        if COLUMNS[column] != kind:
            return "NULL"
        bound.extend(values)
        return f"({next(c for c in COLUMNS if c == column)} {test})"
    path = _path(field)
    bound.extend((path, path, *values))
    return (
        f"(CASE WHEN json_type({_DOCUMENT}, ?) IN {_TYPES[kind]} "
        f"THEN json_extract({_DOCUMENT}, ?) {test} END)"
    )


def _path(field: Field) -> str:
    return "$" + "".join(f'."{key}"' for key in field.path)
