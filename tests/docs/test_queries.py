"""The document on queries: its examples are of the language, its figures the program's."""

from __future__ import annotations

from bridge.api.queries import QUERY_LIMIT_DEFAULT, QUERY_LIMIT_MAX
from bridge.query import parse_where
from bridge.store.queries import QUERY_TIMEOUT_S
from tests.docs.markdown import Document

QUERIES = Document("queries.md")


def test_every_example_is_of_the_language() -> None:
    """One query a line."""
    (block,) = QUERIES.blocks("sql")
    terms = [parse_where(line) for line in block.text.splitlines()]
    assert len(terms) == 5


def test_figures_are_the_programs() -> None:
    """Limits and time."""
    text = QUERIES.path.read_text("utf-8")
    assert f"{QUERY_LIMIT_MAX} at most. Default: {QUERY_LIMIT_DEFAULT}." in text
    assert f"longer than {QUERY_TIMEOUT_S:g} s" in text
