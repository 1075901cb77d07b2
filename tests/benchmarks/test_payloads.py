"""What the benchmarks' devices send."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fleet import PREFIX, PROBE_STATE, device_name, index_of
from benchmarks.payloads import (
    FIRST_NUMBER,
    LARGE_BYTES,
    LAST_NUMBER,
    PAYLOAD_BYTES,
    make_large_payload,
    make_payload,
    merged,
)


@given(st.integers(FIRST_NUMBER, LAST_NUMBER))
def test_every_payload_has_the_same_size(number: int) -> None:
    """The load's buffer is cut by that size."""
    payload = make_payload(number)
    assert len(payload) == PAYLOAD_BYTES
    assert orjson.loads(payload)["n"] == number


@pytest.mark.parametrize("number", [FIRST_NUMBER - 1, LAST_NUMBER + 1])
def test_a_number_that_does_not_fit_is_refused(number: int) -> None:
    """It would have another size."""
    with pytest.raises(ValueError, match="does not fit"):
        make_payload(number)


def test_a_large_payload_has_its_size_and_many_fields() -> None:
    """With those of a patch among them, so that a patch changes them and leaves the rest."""
    large = make_large_payload(FIRST_NUMBER)
    assert len(large) == LARGE_BYTES
    document = orjson.loads(large)
    assert len(document["schedule"]) > 50
    last = make_payload(FIRST_NUMBER + 1)
    assert merged(large, last) == {**document, **orjson.loads(last)}
    assert large.count(b'"n":') == 1


@given(st.integers(0, 9_999_999))
def test_a_device_is_found_again_by_its_topic(index: int) -> None:
    """All names are of one length."""
    assert index_of(f"{PREFIX}/{device_name(index)}/state") == index


def test_the_probe_is_no_device() -> None:
    """Its state is not counted."""
    with pytest.raises(ValueError, match="invalid literal"):
        index_of(PROBE_STATE)
