"""What a query asks: a frozen tree, whatever language it was written in.

Every condition is true, false or unknown, as in SQL. A comparison with a field that is missing, or
is of another type than the value, is unknown; `NOT` of unknown is unknown. A twin is found only by
what is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

Value: TypeAlias = bool | int | float | str
Operator: TypeAlias = Literal["=", "!=", "<", "<=", ">", ">="]
Kind: TypeAlias = Literal["boolean", "number", "text"]

COLUMNS: dict[str, Kind] = {
    "device": "text",
    "name": "text",
    "version": "number",
    "at": "number",
}
"""Fields that every twin has, and their types."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: one of `COLUMNS`, `online`, or a section and at least one key."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field beside a value; booleans are only equal or not."""

    field: Field
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class Among:
    """A field is one of some values, which are of one type."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A text matches a pattern, as SQLite's LIKE (ASCII case ignored) or GLOB has it."""

    field: Field
    operator: Literal["LIKE", "GLOB"]
    pattern: str


@dataclass(frozen=True, slots=True)
class Truth:
    """A field that is a boolean, by itself."""

    field: Field


@dataclass(frozen=True, slots=True)
class Missing:
    """A field is missing, or null. Never unknown."""

    field: Field


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT."""

    term: Term


@dataclass(frozen=True, slots=True)
class Junction:
    """Terms, at least one, joined by AND or by OR."""

    operator: Literal["AND", "OR"]
    terms: tuple[Term, ...]


Term: TypeAlias = Comparison | Among | Match | Truth | Missing | Negation | Junction


def fields_of(term: Term) -> Iterator[Field]:
    """Yield every field that a term looks at, some perhaps again."""
    if isinstance(term, Junction):
        for part in term.terms:
            yield from fields_of(part)
    elif isinstance(term, Negation):
        yield from fields_of(term.term)
    else:
        yield term.field


def kind_of(value: object) -> Kind | None:
    """Return the type of a value of JSON; None for null, arrays and objects."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None
