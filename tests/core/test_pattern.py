"""Patterns for twins and paths: what they match, which is more specific, which are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.pattern import (
    PatternError,
    common_text,
    level_matches,
    level_rank,
    parse_device_pattern,
    parse_path_pattern,
)
from bridge.core.topics import TwinKey
from tests.support.examples import examples

LIMITS = Limits(depth=3, key_bytes=8)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("mode", "mode", True),
        ("mode", "mode2", False),
        ("*", "anything", True),
        ("*", "", True),
        ("temp-*", "temp-1", True),
        ("temp-*", "temp-", True),
        ("temp-*", "temp", False),
        ("*-temp", "a-temp", True),
        ("*-temp", "a-temp-", False),
        ("a*b", "ab", True),
        ("a*b", "axxb", True),
        ("a*a", "a", False),
        ("ab*ba", "aba", False),
        ("*a*", "bab", True),
        ("*a*", "bbb", False),
        ("*a*b*", "xaxbx", True),
        ("*a*b*", "xbxax", False),
        ("a*bc*c", "abc", False),
        ("a*bc*c", "abcc", True),
        ("*ab*ab*", "xabab", True),
        ("*ab*ab*", "xabxa", False),
        ("a.c", "abc", False),
        ("[ab]*", "a", False),
        ("ä*", "äö", True),
    ],
)
def test_a_level_matches_a_key(pattern: str, text: str, matches: bool) -> None:
    """A star is any run of characters, also none, and nothing else is special."""
    assert level_matches(tuple(pattern.split("*")), text) is matches


def test_levels_are_ordered_by_how_much_they_say() -> None:
    """A key, then the longer part of one, then any key, then whatever lies below."""
    order = [("a",), ("abc", ""), ("a", "b"), ("", "b"), ("", ""), ("", "", "")]
    ranks = [level_rank(level) for level in order]
    assert sorted(ranks, reverse=True) == ranks
    assert len(set(ranks)) == len(ranks)
    assert level_rank(("long-key",)) == level_rank(("a",))
    assert level_rank(("a", "")) == level_rank(("", "a"))


_LEVELS = st.lists(st.text("ab", max_size=2), min_size=1, max_size=4).map(tuple)


@given(_LEVELS, _LEVELS, st.text("ab", max_size=6))
@examples(100)
def test_a_common_text_is_found_where_there_is_one(
    one: tuple[str, ...], other: tuple[str, ...], text: str
) -> None:
    """And both levels match it."""
    common = common_text(one, other)
    if common is not None:
        assert level_matches(one, common)
        assert level_matches(other, common)
    elif level_matches(one, text):
        assert not level_matches(other, text)


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("meter-7", ["meter-7", "meter-7/setup"], ["meter-77", "meter-8/meter-7"]),
        ("meter-*", ["meter-7", "meter-", "meter-7/x"], ["meter", "a/meter-7"]),
        ("*", ["a", "a/b"], []),
        ("meter-7/setup", ["meter-7/setup"], ["meter-7", "meter-8/setup", "meter-7/setup2"]),
        ("*/set*", ["a/set", "b/setup"], ["a", "set", "a/reset"]),
        ("a*/*", ["a/x", "ab/y"], ["a", "b/x"]),
        ("report", ["report"], ["a"]),
        ("*.lan", ["a.lan"], ["lan"]),
        ("a:@~_.-1", ["a:@~_.-1"], ["a"]),
        ("x" * 128, ["x" * 128], ["x"]),
        (f"*{'x' * 128}", ["x" * 128], ["x"]),
    ],
)
def test_a_device_pattern_matches_twins(
    pattern: str, matched: list[str], others: list[str]
) -> None:
    """Without a slash every twin of the device, with one those of that name only."""
    parsed = parse_device_pattern(pattern)
    for text in matched:
        assert parsed.matches(TwinKey(*text.split("/"))), text
    for text in others:
        assert not parsed.matches(TwinKey(*text.split("/"))), text


_IDENTIFIER = "1 to 128 of A-Z a-z 0-9 . _ : @ ~ - and not starting with a dot"
NO_DEVICE = f"no device id matches it: it is {_IDENTIFIER}"
NO_NAME = f"no twin's name matches it: it is {_IDENTIFIER}"
ONE_STAR = "one * matches any run of characters already: write one"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", NO_DEVICE),
        ("a b", NO_DEVICE),
        ("a+", NO_DEVICE),
        ("mé*", NO_DEVICE),
        (".a", NO_DEVICE),
        (".*", NO_DEVICE),
        ("x" * 129, NO_DEVICE),
        ("x" * 129 + "*", NO_DEVICE),
        ("*." + "x" * 127, NO_DEVICE),
        ("/setup", NO_DEVICE),
        ("a/", NO_NAME),
        ("a/b/c", NO_NAME),
        ("a/.b", NO_NAME),
        ("a/report", "no twin can be named 'report': that word is part of the topics"),
        ("*/history", "no twin can be named 'history': that word is part of the topics"),
        ("a**", ONE_STAR),
        ("a/**", ONE_STAR),
        ("a*b**", ONE_STAR),
    ],
)
def test_a_device_pattern_that_can_never_match_is_refused(pattern: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(PatternError) as caught:
        parse_device_pattern(pattern)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "pattern",
    [
        "reported.a", "desired.*.b*.**", "reported.**", 'desired."*"', 'reported.""',
        "reported.12345678", "reported.1234*5678", "reported.*$", "reported.a$",
    ],
)  # fmt: skip
def test_a_path_pattern_at_the_limits_is_taken(pattern: str) -> None:
    """Three levels, eight bytes, a quoted star, and a key that is empty."""
    parsed = parse_path_pattern(pattern, LIMITS)
    assert parsed.section == pattern.split(".")[0]


NO_SECTION = "a path begins with reported. or desired."
ONLY_LAST = "** can only be the last level; * is one level of whatever name"
ALONE = "** stands alone between dots; within a key one * is enough"
RESERVED = "no key starts with $: they are reserved"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "'' has an empty key; an empty key is written \"\""),
        ("mode", NO_SECTION),
        ("report.a", NO_SECTION),
        ("*.a", NO_SECTION),
        ("reported*.a", NO_SECTION),
        ("reported", "nothing stands behind reported: reported.** is all of it"),
        ("reported.", "'reported.' has an empty key; an empty key is written \"\""),
        ("reported..a", "'reported..a' has an empty key; an empty key is written \"\""),
        ('reported."a', "'reported.\"a' has a quote that is not closed"),
        ("reported.a\\", "'reported.a\\\\' ends in a backslash with nothing behind it"),
        ("reported.**.a", ONLY_LAST),
        ("reported.a.**.**", ONLY_LAST),
        ("reported.a**", ALONE),
        ("reported.***", ALONE),
        ("reported.$a", RESERVED),
        ('reported."$a"', RESERVED),
        ("reported.a.$*", RESERVED),
        ("reported.123456789", "a key of it has at least 9 bytes, and limits.key_bytes is 8"),
        ("reported.1234*56789", "a key of it has at least 9 bytes, and limits.key_bytes is 8"),
        ("reported.äöüäö", "a key of it has at least 10 bytes, and limits.key_bytes is 8"),
        ("reported.a.b.c.d", "it has 4 levels, and limits.depth lets a patch have 3"),
        ("reported.a.b.c.**", "it has 4 levels, and limits.depth lets a patch have 3"),
        ("reported.\ud800", "it holds a half of a surrogate pair, which no key does"),
    ],
)
def test_a_path_pattern_that_can_never_match_is_refused(pattern: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(PatternError) as caught:
        parse_path_pattern(pattern, LIMITS)
    assert str(caught.value) == why
