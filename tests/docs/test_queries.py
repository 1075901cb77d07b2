"""The document on queries: its examples are of the language, its figures the program's."""

from __future__ import annotations

import yaml

from bridge.api.queries import QUERY_LIMIT_DEFAULT, QUERY_LIMIT_MAX
from bridge.config import StoreConfig
from bridge.http.list_routes import PAGE_TWINS_MAX
from bridge.http.live_query import MEMBERS_REMEMBERED
from bridge.http.searching import FOUND_BYTES_MAX, QUERIES_MAX, QUERIES_WAITING
from bridge.http.stream import CODE_BAD_REQUEST, CODE_FORBIDDEN, CODE_TRY_AGAIN
from bridge.query.language import DEPTH_MAX, LENGTH_MAX, parse_where
from bridge.query.nodes import PATTERN_MAX, TERMS_MAX, VALUES_MAX, WILDCARDS_MAX
from bridge.store.indexed_paths import INDEXES_MAX, parse_indexed_paths
from bridge.store.indexes import ROWS_MAX
from bridge.store.queries import QUERY_TIMEOUT_S
from tests.docs.markdown import Document

QUERIES = Document("queries.md")


def test_every_example_is_of_the_language() -> None:
    """One query a line."""
    (block,) = QUERIES.blocks("sql")
    terms = [parse_where(line) for line in block.text.splitlines()]
    assert len(terms) == 5


def test_the_configuration_is_one() -> None:
    """Of indexes."""
    (block,) = QUERIES.blocks("yaml")
    config = StoreConfig(**yaml.safe_load(block.text)["store"])
    assert parse_indexed_paths(config.indexes) == {("reported", "battery"), ("desired", "mode")}


def test_figures_are_the_programs() -> None:
    """Limits and time."""
    text = QUERIES.path.read_text("utf-8")
    assert f"{QUERY_LIMIT_MAX} at most. Default: {QUERY_LIMIT_DEFAULT}." in text
    assert f"It takes {QUERY_TIMEOUT_S:g} s at most." in text
    text = " ".join(text.split())
    assert f"at most {LENGTH_MAX} characters, {TERMS_MAX} conditions, {VALUES_MAX} values" in text
    assert f"parentheses {DEPTH_MAX} deep" in text
    assert f"at most {PATTERN_MAX} characters and {WILDCARDS_MAX} wildcards" in text
    assert f"at most {PAGE_TWINS_MAX} twins" in text
    assert f"they have {FOUND_BYTES_MAX // 1024**2} MiB" in text
    assert f"{INDEXES_MAX} paths can be indexed" in text
    assert f"where {ROWS_MAX:,} or more do" in text
    assert QUERIES_MAX == 2
    assert f"beyond {MEMBERS_REMEMBERED:,} found twins" in text
    for code in (CODE_TRY_AGAIN, CODE_BAD_REQUEST):
        assert f"the code {code}" in text
    assert f"with {CODE_FORBIDDEN}," in text
    assert f"Two queries are answered at the same time and {QUERIES_WAITING} wait" in text
