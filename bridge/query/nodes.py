"""From sqlglot's nodes to terms: an allow-list."""

from __future__ import annotations

import math

from sqlglot import exp

from bridge.errors import QueryError
from bridge.query.slips import field_slip, name_slip, time_slip, value_slip
from bridge.query.terms import (
    COLUMNS,
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
    Value,
    kind_of,
)

TERMS_MAX = 100
"""Most conditions of a query."""

VALUES_MAX = 500
"""Most values behind one IN."""

WILDCARDS_MAX = 8
"""Most `%` or `*` of a pattern: SQLite cannot be interrupted within one comparison."""

PATTERN_MAX = 256
"""Most characters of a pattern: SQLite compares each of them with each of a text, in the worst
case, and cannot be interrupted meanwhile."""

KEYS_MAX = 32
"""Most keys of a path."""

ALLOWED = (
    "allowed are device, name, version, at, online, reported.KEY and desired.KEY; = != <> < <= > "
    ">= AND OR NOT IN BETWEEN LIKE GLOB IS NULL; numbers, 'texts', true, false; odd keys in \"...\""
)

_INTEGER_MAX = 2**63 - 1
_TIME = ("at",)
_DIGITS_MAX = 400
_OPERATORS: dict[type[exp.Expression], tuple[Operator, Operator]] = {
    exp.EQ: ("=", "="),
    exp.NEQ: ("!=", "!="),
    exp.LT: ("<", ">"),
    exp.LTE: ("<=", ">="),
    exp.GT: (">", "<"),
    exp.GTE: (">=", "<="),
}


def translate(node: exp.Expression) -> Term:
    """Return the term of a node.

    Raises:
        QueryError: It is none of those that are allowed.
    """
    return _Translation().term(node)


class _Translation:
    """One query; counts its conditions."""

    def __init__(self) -> None:
        self._conditions = 0

    def term(self, node: exp.Expression) -> Term:
        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.And | exp.Or):
            return self._junction(node)
        if isinstance(node, exp.Not):
            return Negation(self.term(node.this))
        self._conditions += 1
        if self._conditions > TERMS_MAX:
            raise _refused(node, f"the query has more than {TERMS_MAX} conditions")
        return _condition(node)

    def _junction(self, node: exp.And | exp.Or) -> Junction:
        # Chains lean to the left, and are long where the query is.
        parts: list[Term] = []
        kind = type(node)
        left: exp.Expression = node
        while type(left) is kind:
            parts.append(self.term(left.expression))
            left = left.this
        parts.append(self.term(left))
        return Junction("AND" if kind is exp.And else "OR", tuple(reversed(parts)))


def _condition(node: exp.Expression) -> Term:
    if isinstance(node, exp.Column | exp.Dot):
        return Truth(_field(node))
    if type(node) in _OPERATORS:
        return _comparison(node)
    if isinstance(node, exp.In):
        return _among(node)
    if isinstance(node, exp.Between) and not node.args.get("symmetric"):
        low = _compare(node, _field(node.this), ">=", _value(node.args["low"]))
        return Junction("AND", (low, _compare(node, low.field, "<=", _value(node.args["high"]))))
    if isinstance(node, exp.Like | exp.Glob):
        return _match(node)
    if isinstance(node, exp.Is):
        return _is(node)
    raise _refused(node, "this is no condition")


def _comparison(node: exp.Expression) -> Comparison:
    as_written, turned = _OPERATORS[type(node)]
    is_turned = isinstance(node.expression, exp.Column | exp.Dot)
    if is_turned and not isinstance(node.this, exp.Column | exp.Dot):
        return _compare(node, _field(node.expression), turned, _value(node.this))
    return _compare(node, _field(node.this), as_written, _value(node.expression))


def _compare(node: exp.Expression, field: Field, operator: Operator, value: Value) -> Comparison:
    if isinstance(value, bool) and operator not in ("=", "!="):
        raise _refused(node, f"true and false cannot be compared with {operator}")
    _check_time(node, field, value)
    return Comparison(field, operator, value)


def _among(node: exp.In) -> Among:
    given = node.expressions
    if not given or len(given) > VALUES_MAX:
        raise _refused(node, f"IN takes 1 to {VALUES_MAX} values")
    values = tuple(_value(value) for value in given)
    if len({kind_of(value) for value in values}) > 1:
        raise _refused(node, "the values of one IN must be of one type")
    field = _field(node.this)
    for value in values:
        _check_time(node, field, value)
    return Among(field, values)


def _check_time(node: exp.Expression, field: Field, value: Value) -> None:
    advice = time_slip(value) if field.path == _TIME else ""
    if advice:
        raise _refused(node, "`at` has no such value", advice)


def _match(node: exp.Like | exp.Glob) -> Match:
    pattern = _value(node.expression)
    is_glob = isinstance(node, exp.Glob)
    if not isinstance(pattern, str):
        raise _refused(node, "a pattern must be a text")
    if len(pattern) > PATTERN_MAX:
        raise _refused(node, f"a pattern has at most {PATTERN_MAX} characters")
    if pattern.count("*" if is_glob else "%") > WILDCARDS_MAX:
        raise _refused(node, f"a pattern has at most {WILDCARDS_MAX} wildcards")
    if is_glob and "[" in pattern:
        raise _refused(node, "GLOB knows * and ? here, and no [")
    return Match(_field(node.this), "GLOB" if is_glob else "LIKE", pattern)


def _is(node: exp.Is) -> Term:
    if isinstance(node.expression, exp.Null):
        return Missing(_field(node.this))
    raise _refused(node, "IS takes NULL or NOT NULL")


def _field(node: exp.Expression) -> Field:
    if not isinstance(node, exp.Column | exp.Dot):
        raise _refused(node, "a field must stand here", field_slip(node))
    parts = node.parts
    if not all(isinstance(part, exp.Identifier) for part in parts):
        raise _refused(node, "a field is names with dots between")
    path = tuple(part.name for part in parts)
    if len(path) > KEYS_MAX + 1:
        raise _refused(node, f"a path has at most {KEYS_MAX} keys")
    # SQLite's paths have no escapes.
    if any(not key or '"' in key or "\\" in key or min(key) < " " for key in path):
        raise _refused(node, "a key that is empty or holds a quote, \\ or a control character")
    known = len(path) == 1 and (path[0] in COLUMNS or path[0] == "online")
    if not known and not (path[0] in ("reported", "desired") and len(path) > 1):
        raise _refused(node, f"there is no field `{'.'.join(path)[:80]}`", name_slip(path))
    return Field(path)


def _value(node: exp.Expression) -> Value:
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else _number(node, str(node.this))
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal) and node.this.is_number:
        return -_number(node, str(node.this.this))
    raise _refused(node, "a number, a text, true or false must stand here", value_slip(node))


def _number(node: exp.Expression, text: str) -> int | float:
    try:
        number = int(text) if text.isdecimal() and len(text) < _DIGITS_MAX else float(text)
    except ValueError as error:
        raise _refused(node, "this is no number") from error
    if not math.isfinite(number) or (isinstance(number, int) and number > _INTEGER_MAX):
        raise _refused(node, "the number is too large")
    return number


def _refused(node: exp.Expression, message: str, advice: str = "") -> QueryError:
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    position = min(starts) + 1 if starts else 0
    where = f" at character {position}" if starts else ""
    hint = f"{advice}; {ALLOWED}" if advice else ALLOWED
    return QueryError(f"{message}{where}: {str(node)[:80]}", hint=hint, position=position)
