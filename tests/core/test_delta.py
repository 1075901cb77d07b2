"""The delta holds exactly what is outstanding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from bridge.core.delta import outstanding
from tests.core.test_tree import patches, rfc7396
from tests.core.world import World
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("desired", "reported", "delta"),
    [
        ({"on": True}, {"on": True}, {}),
        ({"on": True}, {"on": False}, {"on": True}),
        ({"on": True}, {}, {"on": True}),
        ({"on": True}, {"on": 1}, {"on": True}),
        ({"level": 1}, {"level": 1.0}, {}),
        ({"level": 21.3}, {"level": 21.299999237060547}, {}),
        ({"level": 21.3}, {"level": 21.31}, {"level": 21.3}),
        ({"count": 16_777_217}, {"count": 16_777_216}, {"count": 16_777_217}),
        ({"half": 16_777_217}, {"half": 16_777_216.0}, {}),
        ({"half": 16_777_216.0}, {"half": 16_777_217}, {}),
        ({"huge": 1e300}, {"huge": 1.0000001e300}, {"huge": 1e300}),
        ({"word": "a"}, {"word": "b"}, {"word": "a"}),
        ({"word": "1"}, {"word": 1}, {"word": "1"}),
        ({"count": 1}, {"count": "1"}, {"count": 1}),
        ({"word": "a"}, {"word": 1.5}, {"word": "a"}),
        ({"level": 1.5}, {"level": "a"}, {"level": 1.5}),
        ({"scene": [1, 2]}, {"scene": [1, 2.0]}, {}),
        ({"scene": [1, 2]}, {"scene": [2, 1]}, {"scene": [1, 2]}),
        ({"scene": [{"a": 1}]}, {"scene": [{"a": 1, "b": 2}]}, {"scene": [{"a": 1}]}),
        ({"scene": [{"a": 1, "b": 2}]}, {"scene": [{"b": 2, "a": 1.0}]}, {}),
        ({"scene": [{"a": 1}]}, {"scene": [{"a": 2}]}, {"scene": [{"a": 1}]}),
        ({"scene": [None]}, {"scene": [None]}, {}),
        ({"scene": [1]}, {"scene": 1}, {"scene": [1]}),
        ({"scene": "1"}, {"scene": ["1"]}, {"scene": "1"}),
        ({"color": {"r": 1, "g": 2}}, {"color": {"r": 1}}, {"color": {"g": 2}}),
        ({"color": {"r": 1}}, {"color": 7}, {"color": {"r": 1}}),
        ({"color": 7}, {"color": {"r": 1}}, {"color": 7}),
        ({"empty": {}}, {}, {"empty": {}}),
        ({"empty": {}}, {"empty": {"more": 1}}, {}),
        ({}, {"on": True}, {}),
    ],
)
def test_only_what_is_desired_and_not_reported_is_outstanding(
    desired: dict[str, Any], reported: dict[str, Any], delta: dict[str, Any]
) -> None:
    """Equality of numbers, booleans, arrays and objects."""
    assert outstanding(desired, reported) == delta


@given(patches, patches)
@examples(100)
def test_a_device_that_applies_its_delta_has_none(
    desired: dict[str, Any], reported: dict[str, Any]
) -> None:
    """The delta is exact: once it is applied, nothing is outstanding."""
    wanted, actual = rfc7396({}, desired), rfc7396({}, reported)
    delta = outstanding(wanted, actual)
    assert outstanding(wanted, rfc7396(actual, delta)) == {}


def test_the_delta_of_a_twin_is_what_its_device_still_has_to_do() -> None:
    """Nothing where nothing is desired."""
    world = World()
    world.send({"on": False, "level": 1})
    assert world.twin.delta() == {}
    world.desire({"on": True, "level": 1})
    assert world.twin.delta() == {"on": True}
    world.send({"on": True})
    assert world.twin.delta() == {}
