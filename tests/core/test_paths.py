"""Paths into a twin, as they are written, with and without wildcards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.paths import PathError, parse_path, parse_pattern, path_text
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("reported", ("reported",)),
        ("reported.color.r", ("reported", "color", "r")),
        ('desired."cct:0.1".on', ("desired", "cct:0.1", "on")),
        ("desired.cct:0\\.1.on", ("desired", "cct:0.1", "on")),
        ('a."say \\"hi\\""', ("a", 'say "hi"')),
        ('a.""', ("a", "")),
        ("a.b\\\\c", ("a", "b\\c")),
        ('a.mid"quote', ("a", 'mid"quote')),
    ],
)
def test_keys_are_separated_by_dots_unless_quoted_or_escaped(
    text: str, path: tuple[str, ...]
) -> None:
    """Both ways lead to the same key."""
    assert parse_path(text) == (path, len(text))


@given(st.lists(st.text(), min_size=1).map(tuple))
@examples(100)
def test_a_path_can_be_typed_as_it_is_shown(path: tuple[str, ...]) -> None:
    """Whatever its keys hold."""
    text = path_text(path)
    assert parse_path(text) == (path, len(text))
    assert parse_path(f"{text}=1.5", end="=") == (path, len(text))


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", 'a."b', 'a."b"c', "a\\"])
def test_a_malformed_path_is_refused(text: str) -> None:
    """Empty keys, and quotes and escapes that are not finished."""
    with pytest.raises(PathError):
        parse_path(text)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("a.b", (("a",), ("b",))),
        ("a.*", (("a",), ("", ""))),
        ("temp-*.x*y*", (("temp-", ""), ("x", "y", ""))),
        ("**", (("", "", ""),)),
        ('"*".a\\*', (("*",), ("a*",))),
        ('"a.*"', (("a.*",),)),
        ('""', (("",),)),
    ],
)
def test_a_wildcard_counts_where_it_is_neither_quoted_nor_escaped(
    text: str, levels: tuple[tuple[str, ...], ...]
) -> None:
    """A key comes as the texts between its wildcards."""
    assert parse_pattern(text, "*") == levels


@given(st.lists(st.text(st.characters(exclude_characters="*")), min_size=1).map(tuple))
@examples(100)
def test_a_pattern_without_wildcards_is_a_path(path: tuple[str, ...]) -> None:
    """Quoted and escaped in the same way."""
    assert parse_pattern(path_text(path), "*") == tuple((key,) for key in path)


@pytest.mark.parametrize("text", ["", "a.", "a..*", '"*', '"*"*', "*\\"])
def test_a_malformed_pattern_is_refused(text: str) -> None:
    """As a path would be."""
    with pytest.raises(PathError):
        parse_pattern(text, "*")
