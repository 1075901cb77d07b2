"""Values as text, and durations."""

from __future__ import annotations

import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cli.text import (
    DURATION,
    age_text,
    compact_json,
    indented_json,
    iso_time,
    printable,
)

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_DOCUMENTS = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(_DOCUMENTS)
def test_json_is_safe_to_print_and_means_the_same(value: object) -> None:
    """Whatever a device sends: no control character, one line, and the same document again."""
    text = compact_json(value)  # type: ignore[arg-type]
    assert text.isprintable()
    assert json.loads(text) == value
    indented = indented_json(value)  # type: ignore[arg-type]
    assert all(line.isprintable() for line in indented.split("\n"))
    assert json.loads(indented) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢", "plain ü 漢"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("a\u202eb", "a\\u202eb"),
        ("\x7f\x9b", "\\u007f\\u009b"),
        ("\U000e0001", "\\udb40\\udc01"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    """Escape sequences, line ends, and marks that turn the text around."""
    assert printable(text) == shown


def test_a_time_is_in_utc_with_milliseconds() -> None:
    """As RFC 3339 writes it."""
    assert iso_time(1_795_389_192_794_000) == "2026-11-22T23:13:12.794Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (172_800, "2 d")],
)
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    """The largest that is full; a clock that runs behind makes no negative age."""
    assert age_text(seconds) == shown


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("7", 7)]
)
def test_a_duration_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    """From milliseconds to days."""
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-1s", "1 fortnight", "nan", "1e3", "400d", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing, zero, beyond a year, or another language's digits."""
    with pytest.raises(click.BadParameter, match="30s"):
        DURATION.convert(text, None, None)
