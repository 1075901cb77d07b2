"""The short way of decoding a plain report, held against the long one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.update import NO_METADATA
from bridge.wire.inbound import decode_body
from bridge.wire.json_codec import parse_plain
from tests.support.examples import examples

LIMITS = Limits()

_NAMES = st.sampled_from(["a", "b", "temperature", "", "$", "$x", "x" * 40]) | st.text(max_size=5)
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "12:30", '"', 'a":1'])
    | st.lists(st.integers(0, 9), max_size=2)
    | st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), max_size=2)
)


def _plain(payload: bytes) -> Any:
    # Twice: names are known only once they have been seen.
    parse_plain(payload, LIMITS)
    return parse_plain(payload, LIMITS)


@examples(500)
@given(st.dictionaries(_NAMES, _VALUES, max_size=4))
def test_what_is_taken_is_what_the_long_way_makes_of_it(document: dict[str, Any]) -> None:
    """The same values, no metadata, and nothing to refuse."""
    payload = orjson.dumps(document)

    state = _plain(payload)

    if state is not None:
        body = decode_body(payload, LIMITS)
        assert body.refusal is None
        assert body.metadata is NO_METADATA
        assert orjson.dumps(body.state) == orjson.dumps(state)
        assert body.size_bytes == len(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":null}',
        b'{"a":[1]}',
        b'{"a":{}}',
        b'{"a":1,"$":{"seq":1}}',
        b'{"$a":1}',
        b'{"a":9223372036854775808}',
        b'{"a":18446744073709551616}',
        b'{"a":1e400}',
        b'{"time":"12:30"}',
        b'{"' + b"x" * 40 + b'":1}',
    ],
)
def test_what_is_not_plain_or_not_clear_is_left_to_the_long_way(payload: bytes) -> None:
    """It may be right, or be refused: there it is said which."""
    assert _plain(payload) is None


def test_an_ordinary_report_is_plain() -> None:
    """Numbers, texts and booleans by name."""
    assert _plain(b'{"on":true,"level":0.5,"mode":"eco","n":7}') == {
        "on": True, "level": 0.5, "mode": "eco", "n": 7,
    }  # fmt: skip


@pytest.mark.parametrize("limits", [replace(LIMITS, key_bytes=64), replace(LIMITS, depth=0)])
def test_tighter_limits_are_left_to_the_long_way(limits: Limits) -> None:
    """What is known of names holds for the usual limits."""
    payload = b'{"on":true}'
    assert _plain(payload) is not None

    assert parse_plain(payload, limits) is None
