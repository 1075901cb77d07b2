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


EMPTY = '%r has an empty key; an empty key is written ""'
UNCLOSED = "%r has a quote that is not closed"
BEHIND = "%r has something behind a closing quote that is not a dot"
BACKSLASH = "%r ends in a backslash with nothing behind it"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", EMPTY), (".", EMPTY), ("a.", EMPTY), (".a", EMPTY), ("a..b", EMPTY),
        ('a."b', UNCLOSED), ('"', UNCLOSED), ('"a\\', UNCLOSED), ('"a\\"', UNCLOSED),
        ('a."b"c', BEHIND), ('"a"=', BEHIND), ('"a"X', BEHIND),
        ("a\\", BACKSLASH),
    ],
)  # fmt: skip
def test_a_malformed_path_is_refused(text: str, why: str) -> None:
    """Empty keys, and quotes and escapes that are not finished."""
    with pytest.raises(PathError) as caught:
        parse_path(text)
    assert str(caught.value) == why % text


@pytest.mark.parametrize(
    ("text", "end", "path", "index"),
    [
        ("a.b=c.d", "=", ("a", "b"), 3),
        ('a."b=c"=d', "=", ("a", "b=c"), 7),
        ("a\\=b=c", "=", ("a=b",), 4),
        ("a=b", "", ("a=b",), 3),
        ("a.b*", "", ("a", "b*"), 4),
    ],
)
def test_a_path_ends_where_its_end_stands_unquoted(
    text: str, end: str, path: tuple[str, ...], index: int
) -> None:
    """What is behind is for the caller; without an end the path is all of it."""
    assert parse_path(text, end) == (path, index)


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
