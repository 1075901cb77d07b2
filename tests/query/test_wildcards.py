"""Patterns, held against the same as a regular expression, and against time."""

from __future__ import annotations

import re
import time

from hypothesis import given
from hypothesis import strategies as st

from bridge.query.wildcards import lower_ascii, wildcards


@given(st.text("ab%_", max_size=9), st.text("ab", max_size=12))
def test_matches_what_a_regular_expression_matches(pattern: str, text: str) -> None:
    """The whole text, line feeds too."""
    signs = {"%": ".*", "_": "."}
    expression = "".join(signs.get(c, re.escape(c)) for c in pattern)
    expected = re.fullmatch(expression, text, re.DOTALL) is not None
    assert wildcards(pattern, "%", "_").match(text) is expected


@given(st.text())
def test_only_the_letters_of_ascii_lose_their_case(text: str) -> None:
    """As SQLite has it: \u00c9 stays."""
    expected = "".join(c.lower() if c.isascii() else c for c in text)
    assert lower_ascii(text) == expected


def test_no_pattern_makes_a_long_text_take_long() -> None:
    """The worst of them takes about as long for each character of the text as the easiest."""
    text = "a" * 64_000
    easy, worst = "%_b%", "%" + "a_" * 100 + "b%"

    def measure(pattern: str) -> float:
        best = []
        for _ in range(3):
            began = time.perf_counter()
            assert not wildcards(pattern, "%", "_").match(text)
            best.append(time.perf_counter() - began)
        return min(best)

    assert measure(worst) < 50 * measure(easy)
