"""The language of queries: a part of SQL's WHERE, read by sqlglot.

What is not allowed is refused twice: as a token, before the parser sees it, and as a node.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from bridge.errors import QueryError
from bridge.query.nodes import ALLOWED, translate
from bridge.query.terms import Field, Term, Truth

LENGTH_MAX = 8192
"""Longest query, in characters."""

TOKENS_MAX = 1500
"""Most words and signs of a query."""

DEPTH_MAX = 16
"""Most parentheses within each other, and most `NOT` or `-` in a row."""

_DIALECT = "sqlite"
_T = TokenType
_SIGNS = frozenset(
    {
        _T.L_PAREN, _T.R_PAREN, _T.COMMA, _T.DOT, _T.DASH, _T.EQ, _T.NEQ, _T.LT, _T.LTE, _T.GT,
        _T.GTE, _T.AND, _T.OR, _T.NOT, _T.IN, _T.BETWEEN, _T.LIKE, _T.GLOB, _T.IS, _T.NULL,
        _T.TRUE, _T.FALSE, _T.STRING, _T.NUMBER, _T.VAR, _T.IDENTIFIER,
    }
)  # fmt: skip
_NAMES = frozenset({_T.VAR, _T.IDENTIFIER})
_FIELD_NAMES = frozenset({"device", "name", "version", "at", "online", "reported", "desired"})


def parse_where(text: str) -> Term:
    """Return what a query asks.

    Raises:
        QueryError: It is not of the language, or too large.
    """
    if len(text) > LENGTH_MAX:
        raise QueryError(f"the query has {len(text)} characters; {LENGTH_MAX} are allowed")
    odd = next((n for n, c in enumerate(text) if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if odd is not None:
        raise QueryError(
            "the query holds U+0000 or half a surrogate pair", hint=ALLOWED, position=odd + 1
        )
    try:
        _check_tokens(sqlglot.tokenize(text, read=_DIALECT))
        node = sqlglot.parse_one(text, read=_DIALECT)
        if isinstance(node, exp.Expression):
            return translate(node)
    except (SqlglotError, RecursionError) as error:
        reason, position = _reason(error, text)
        raise QueryError(
            f"the query cannot be read: {reason}", hint=ALLOWED, position=position
        ) from error
    raise QueryError("the query cannot be read", hint=ALLOWED)


def parse_field(text: str) -> Field:
    """Return a field as it is written in a query.

    Raises:
        QueryError: It is none.
    """
    term = parse_where(text)
    if not isinstance(term, Truth):
        raise QueryError(f"`{text[:80]}` is no field", hint=ALLOWED)
    return term.field


def _check_tokens(tokens: list[Token]) -> None:
    if not tokens:
        raise QueryError("the query is empty", hint=ALLOWED)
    if len(tokens) > TOKENS_MAX:
        raise QueryError(f"the query has {len(tokens)} words; {TOKENS_MAX} are allowed")
    depth = run = 0
    before: Token | None = None
    for token in tokens:
        kind = token.token_type
        position = token.start + 1
        where = f"at character {position}"
        if token.comments:
            raise QueryError(f"a comment {where} is not allowed", hint=ALLOWED, position=position)
        if kind not in _SIGNS and not _is_name(token, before):
            raise QueryError(
                f"`{token.text[:40]}` {where} is not allowed", hint=ALLOWED, position=position
            )
        if kind == _T.L_PAREN and before is not None and before.token_type in _NAMES:
            raise QueryError(f"a function {where} is not allowed", hint=ALLOWED, position=position)
        depth += (kind == _T.L_PAREN) - (kind == _T.R_PAREN)
        run = run + 1 if kind in (_T.NOT, _T.DASH) else 0
        if max(depth, run) > DEPTH_MAX:
            raise QueryError(
                f"the query is nested deeper than {DEPTH_MAX} {where}", position=position
            )
        before = token


def _is_name(token: Token, before: Token | None) -> bool:
    """Tell whether a word of SQL stands where it can only be a name."""
    if before is not None and before.token_type == _T.DOT:
        return token.text.replace("_", "").isalnum()
    return token.text in _FIELD_NAMES


def _reason(error: Exception, text: str) -> tuple[str, int]:
    details = getattr(error, "errors", None)
    if not details:
        return "it is not complete, or nested too deep", 0
    first = details[0]
    lines = text.split("\n")[: first["line"] - 1]
    position = sum(len(line) + 1 for line in lines) + first["col"]
    description = first["description"].rstrip(".")
    if "<class" in description:
        # sqlglot's name for a node whose other half is not there.
        description = "something is missing"
    return f"{description} (up to character {position})", position
