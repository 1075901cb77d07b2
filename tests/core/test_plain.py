"""The short way of a plain report, held against the long one."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.core.plain import report_plainly
from bridge.core.reconcile import delete, reconcile
from bridge.core.section import JsonObject
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Delivery, Update
from bridge.store.codec import encode_internals
from tests.core.world import NOW, SECOND, World
from tests.support.examples import examples

_PATCHES = st.dictionaries(
    st.sampled_from("abcdef"),
    st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0, 2.5, "", "x"]),
    min_size=1,
)


def _update(twin: Twin, patch: JsonObject, packet_id: int) -> Update:
    payload = orjson.dumps(patch)
    return Update(
        twin.key,
        "reported",
        twin.key.device,
        patch,
        NO_METADATA,
        payload,
        Delivery(packet_id),
        len(payload),
    )


def _plainly(world: World, patch: JsonObject, limits: Limits | None = None) -> object:
    payload = orjson.dumps(patch)
    return report_plainly(world.twin, patch, payload, 0, world.clock + 1, limits or world.limits)


@examples(300)
@given(patches=st.lists(_PATCHES, min_size=1, max_size=6), qos=st.integers(0, 1))
def test_both_ways_lead_to_the_same_twin(patches: list[JsonObject], qos: int) -> None:
    """To the last byte of what is stored, and to the same row of the history."""
    long, short = World(), World()
    for world in (long, short):
        world.send({"a": 1, "z": "kept"})
        world.desire({"b": True})
    for number, patch in enumerate(patches, start=1):
        clock = NOW + (number + 10) * SECOND
        packet_id = number * qos
        update = _update(long.twin, dict(patch), packet_id)
        outcome = reconcile(long.twin, update, clock, long.limits)
        change = report_plainly(
            short.twin, dict(patch), update.payload, packet_id, clock, short.limits
        )
        assert outcome.store
        assert not (outcome.superseded or outcome.conflicts or outcome.refusal)
        assert change == (outcome.change or "unchanged")
        assert encode_internals(short.twin) == encode_internals(long.twin)
        assert orjson.dumps(short.twin.document()) == orjson.dumps(long.twin.document())
        assert short.twin.bytes_at_most == long.twin.bytes_at_most
        assert short.twin.keys_at_most == long.twin.keys_at_most


def test_a_clock_that_went_back_does_not_take_the_twin_with_it() -> None:
    """Its `now` goes on by one."""
    world = World()
    world.send({"a": 1})
    before = world.twin.now

    change = report_plainly(world.twin, {"a": 2}, b"{}", 0, NOW - SECOND, world.limits)

    assert not isinstance(change, str)
    assert change is not None
    assert (change.stamp, world.twin.now) == (before + 1, before + 1)


def _new(_: World) -> None:
    """Nothing has been said yet."""


def _deleted(world: World) -> None:
    world.send({"a": 1})
    delete(world.twin, "app", world.clock)


def _offline(world: World) -> None:
    world.send({"a": 1})
    world.twin.online = False


def _with_an_object(world: World) -> None:
    world.send({"a": {"b": 1}})


def _with_a_removal(world: World) -> None:
    world.send({"a": 1, "b": 2})
    world.send({"b": None})


def _with_a_removal_in_desired(world: World) -> None:
    world.send({"a": 1})
    world.desire({"b": 2})
    world.desire({"b": None})


@pytest.mark.parametrize(
    "prepare",
    [_new, _deleted, _offline, _with_an_object, _with_a_removal, _with_a_removal_in_desired],
    ids=lambda prepare: prepare.__name__.strip("_"),
)
def test_what_is_not_that_simple_is_left_alone(prepare: object) -> None:
    """Nothing has changed then, and the long way decides."""
    world = World()
    prepare(world)  # type: ignore[operator]
    before = encode_internals(world.twin), world.twin.document()

    assert _plainly(world, {"a": 2}) is None

    assert (encode_internals(world.twin), world.twin.document()) == before


def test_policies_are_left_to_the_long_way() -> None:
    """Whatever they are: a path may have one."""
    world = World(policies={"reported.other": "max"})
    world.send({"a": 1})

    assert _plainly(world, {"a": 2}) is None


@pytest.mark.parametrize("limits", [replace(Limits(), twin_bytes=60), replace(Limits(), keys=3)])
def test_limits_are_left_to_the_long_way(limits: Limits) -> None:
    """Where a twin might grow past one, its exact size is counted there."""
    world = World()
    world.send({"a": 1})
    world.twin.bytes_at_most, world.twin.keys_at_most = 10, 1

    assert _plainly(world, {"a": 2}, limits) is None
    assert _plainly(world, {"a": 2}) is not None


def test_an_empty_report_is_left_to_the_long_way() -> None:
    """It marks the section, and is no set of values."""
    world = World()
    world.send({"a": 1})

    assert _plainly(world, {}) is None


def test_a_clock_that_stands_still_does_not_hold_the_twin() -> None:
    """Two reports in the same microsecond have two stamps."""
    world = World()
    world.send({"a": 1})

    change = report_plainly(world.twin, {"a": 2}, b"{}", 0, world.twin.now, world.limits)

    assert not isinstance(change, str)
    assert change is not None
    assert change.stamp == world.clock + 1
