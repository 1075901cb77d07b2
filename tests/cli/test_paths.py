"""Paths into a twin, as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.paths import PathError, parse_path, path_text, value_at
from bridge.core.section import JsonValue


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


def test_a_path_leads_through_objects_and_arrays() -> None:
    """A number is the index of an element where there is an array."""
    document: JsonValue = {"a": {"1": "key", "list": [10, {"b": True}]}}
    assert value_at(document, ("a", "1")) == "key"
    assert value_at(document, ("a", "list", "1", "b")) is True


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        (("x",), "x"),
        (("a", "b", "c"), "a.b"),
        (("list", "2"), "list.2"),
        (("list", "-1"), "list.-1"),
        (("a", "leaf", "x"), "a.leaf.x"),
    ],
)
def test_the_first_key_that_is_missing_is_named(path: tuple[str, ...], missing: str) -> None:
    """Not only that the whole path leads nowhere."""
    with pytest.raises(KeyError) as raised:
        value_at({"a": {"leaf": 1}, "list": [1, 2]}, path)
    assert raised.value.args == (missing,)
