"""What stands at a path that was typed."""

from __future__ import annotations

import pytest

from bridge.cli.paths import value_at
from bridge.core.section import JsonValue


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
