"""What `syncbridge set` is told, as a merge patch."""

from __future__ import annotations

import pytest

from bridge.cli.assignments import (
    AssignmentError,
    Change,
    parse_assignments,
    parse_patch,
    parse_value,
)


def test_assignments_become_one_patch() -> None:
    """Objects are made on the way, and shared."""
    change = parse_assignments(["desired.on=true", "desired.color.r=255", "desired.color.g=0"])
    assert change == Change("desired", {"on": True, "color": {"r": 255, "g": 0}})


def test_a_key_with_a_dot_or_an_equals_sign_is_quoted() -> None:
    """The first equals sign outside of quotes ends the path."""
    change = parse_assignments(['reported."cct:0.1"."a=b"=x=y'])
    assert change == Change("reported", {"cct:0.1": {"a=b": "x=y"}})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("null", None),
        ("255", 255),
        ("21.0", 21.0),
        ("[1, 2]", [1, 2]),
        ('{"a": {}}', {"a": {}}),
        ('"true"', "true"),
        ("", ""),
        ("night", "night"),
        ("True", "True"),
        ("NaN", "NaN"),
        ("1 2", "1 2"),
        ("007", "007"),
    ],
)
def test_a_value_is_json_or_else_a_text(text: str, value: object) -> None:
    """And 21.0 stays a number with a fraction."""
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["{on:true}", "[1,", '"open', '{"a":NaN}', '{"a":1,"a":2}'])
def test_what_begins_like_json_and_is_not_is_refused(text: str) -> None:
    """The shell has most likely taken the quotes away; a text would be a surprise."""
    with pytest.raises(AssignmentError, match="single quotes"):
        parse_value(text)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["desired.on"], "PATH=VALUE"),
        (["on=true"], "begins with desired"),
        (["desired=1"], "begins with desired"),
        (["desired.$id=1"], "reserved"),
        (["desired.=1"], "empty key"),
        (["desired.a=1", "reported.a=1"], "one command for each"),
        (["desired.a=1", "desired.a=2"], "twice"),
        (["desired.a=1", "desired.a.b=2"], "below another"),
        (["desired.a.b=1", "desired.a=2"], "twice"),
    ],
)
def test_malformed_assignments_are_refused(texts: list[str], why: str) -> None:
    """And so are those that contradict each other."""
    with pytest.raises(AssignmentError, match=why):
        parse_assignments(texts)


def test_a_patch_is_taken_as_it_is() -> None:
    """With its nulls, which remove."""
    change = parse_patch('{"color": {"r": 255, "g": null}}', "desired")
    assert change == Change("desired", {"color": {"r": 255, "g": None}})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"$": {"if": 3}}', "--if"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[" * 100_000, "deeply"),
    ],
)
def test_a_malformed_patch_is_refused(text: str, why: str) -> None:
    """Before anything is sent."""
    with pytest.raises(AssignmentError, match=why):
        parse_patch(text, "desired")
