"""Whether a twin is what a query asks for, without a database."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from bridge.query.terms import (
    Among,
    Comparison,
    Field,
    Junction,
    Match,
    Missing,
    Negation,
    Operator,
    Term,
    Truth,
    kind_of,
)
from bridge.query.wildcards import lower_ascii, wildcards

_COMPARE: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(term: Term, device: str, name: str, document: Mapping[str, object]) -> bool:
    """Return whether a query finds a twin.

    Args:
        term: The query.
        device: The twin's device.
        name: The twin's name; empty where it has none.
        document: The twin as it is published on `state`.
    """
    return evaluate(term, {**document, "device": device, "name": name}) is True


def evaluate(term: Term, twin: Mapping[str, object]) -> bool | None:
    """Return what a condition is of a twin with its `device` and `name`; None is unknown."""
    if isinstance(term, Junction):
        return _join(term, twin)
    if isinstance(term, Negation):
        inner = evaluate(term.term, twin)
        return None if inner is None else not inner
    found = read_field(term.field, twin)
    if isinstance(found, str) and "\0" in found:
        found = found[: found.index("\0")]  # As SQLite has it.
    if isinstance(term, Missing):
        return found is None
    if isinstance(term, Truth):
        return found if isinstance(found, bool) else None
    if isinstance(term, Match):
        return _match(term, found) if isinstance(found, str) else None
    return _compare(term, found)


def _compare(term: Comparison | Among, found: object) -> bool | None:
    value = term.values[0] if isinstance(term, Among) else term.value
    if kind_of(found) != kind_of(value):
        return None
    if isinstance(term, Among):
        return found in term.values
    return _COMPARE[term.operator](found, value)


def _join(term: Junction, twin: Mapping[str, object]) -> bool | None:
    decisive = term.operator == "OR"
    unknown = False
    for part in term.terms:
        value = evaluate(part, twin)
        if value is decisive:
            return decisive
        unknown = unknown or value is None
    return None if unknown else not decisive


def read_field(field: Field, twin: Mapping[str, object]) -> object:
    """Return what a field of a twin is; None where it is missing."""
    first, *keys = field.path
    found = twin.get(first)
    for key in keys:
        # What JSON is decoded to. An abstract class would take longer than all the rest.
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found


def _match(term: Match, text: str) -> bool:
    if term.operator == "GLOB":
        return wildcards(term.pattern, "*", "?").match(text)
    return wildcards(lower_ascii(term.pattern), "%", "_").match(lower_ascii(text))
