"""A twin stays within its limits, and so does all that it remembers."""

from __future__ import annotations

import pytest

from bridge.core.bounds import json_size
from bridge.core.delivery_digest import DIGEST_BYTES
from bridge.core.limits import (
    BOOTS_PER_WRITER,
    DELIVERIES_PER_TWIN,
    RETAINED_DIGESTS_PER_TWIN,
    TOMBSTONES_PER_TWIN,
    WRITERS_PER_TWIN,
    Limits,
)
from bridge.core.reconcile import delete, reconcile, reconcile_presence
from bridge.core.refusal import Refusal
from bridge.core.update import Metadata, Presence, Update
from tests.core.world import NOW, SECOND, World


def test_every_memory_of_a_twin_is_bounded() -> None:
    """Each is filled past its bound; the oldest went, the newest is there."""
    world = World(Limits(keys=100_000, twin_bytes=10_000_000))
    for number in range(50):
        world.desire({"v": number}, writer=f"w{number}", seq=1, retained=True)
        world.desire({"v": number}, writer="plain", packet_id=number + 1)
    twin = world.twin
    assert len(twin.writers) == WRITERS_PER_TWIN
    assert ("desired", "w49") in twin.writers
    assert ("desired", "w0") not in twin.writers
    assert len(twin.retained) == RETAINED_DIGESTS_PER_TWIN
    assert ("desired", "w49") in twin.retained
    assert len(twin.deliveries) == DELIVERIES_PER_TWIN * DIGEST_BYTES
    world.desire({"again": 1}, writer="w20", seq=2)
    world.desire({"new": 1}, writer="another", seq=1)
    assert ("desired", "w20") in twin.writers, "the least recent goes, not the oldest"
    for number in range(BOOTS_PER_WRITER + 3):
        world.send({"n": number}, boot=f"b{number}", seq=1)
    assert twin.boots == [f"b{number}" for number in range(3, BOOTS_PER_WRITER + 3)]


def test_the_least_recent_retained_topic_is_forgotten_first() -> None:
    """One that came again is the most recent."""
    world = World()
    for number in range(RETAINED_DIGESTS_PER_TWIN):
        world.desire({"v": number}, writer=f"w{number}", retained=True)
    world.desire({"v": -1}, writer="w0", retained=True)
    world.desire({"v": -2}, writer="new", retained=True)
    assert ("desired", "w0") in world.twin.retained
    assert ("desired", "w1") not in world.twin.retained


def test_the_tombstones_of_both_sections_together_are_bounded() -> None:
    """At once, also where one message brings them all; the oldest go first."""
    world = World(Limits(keys=100_000, twin_bytes=10_000_000))
    world.desire({f"old{number}": None for number in range(100)})
    world.send({f"n{number}": None for number in range(TOMBSTONES_PER_TWIN - 50)})
    twin = world.twin
    assert len(twin.desired.tombstones) == 50
    assert len(twin.reported.tombstones) == TOMBSTONES_PER_TWIN - 50
    world.send({"a": {f"m{number}": None for number in range(2 * TOMBSTONES_PER_TWIN)}})
    assert not twin.desired.tombstones
    assert len(twin.reported.tombstones) == TOMBSTONES_PER_TWIN
    assert all(path[0] == "a" for path in twin.reported.tombstones)


@pytest.mark.parametrize("surplus", [0, 1, 2, 19, 20, 21, 30, 45])
def test_of_the_tombstones_of_both_sections_the_oldest_go(surplus: int) -> None:
    """Exactly as many as are too many, whichever section they are in."""
    world = World(Limits(keys=100_000, twin_bytes=10_000_000))
    for number in range(2):
        world.send({f"r{number}-{n}": None for n in range(10)})
        world.desire({f"d{number}-{n}": None for n in range(10)})
    world.send({f"n{n}": None for n in range(TOMBSTONES_PER_TWIN - 60)})
    world.desire({f"n{n}": None for n in range(20)})
    sections = (world.twin.reported, world.twin.desired)
    before = sorted(arrival for section in sections for arrival in section.tombstones.values())
    assert len(before) == TOMBSTONES_PER_TWIN
    world.desire({f"more{n}": None for n in range(surplus)} | {"now": 1})
    after = sorted(arrival for section in sections for arrival in section.tombstones.values())
    assert after == before[surplus:] + [world.clock] * surplus


def test_a_compressed_update_counts_with_its_full_size() -> None:
    """Small on the wire, large in the twin."""
    world = World(Limits(twin_bytes=2000))
    update = Update(
        world.twin.key,
        "reported",
        "lamp-1",
        {"t": "x" * 3000},
        Metadata(),
        b"small",
        size_bytes=3010,
    )
    refusal = reconcile(world.twin, update, NOW, world.limits).refusal
    assert refusal is not None
    assert refusal.error == "twin_too_large"


def test_after_a_deletion_nothing_of_the_old_size_counts() -> None:
    """And the horizon says that everything before it is forgotten."""
    world = World(Limits(twin_bytes=1500))
    world.send({"text": "x" * 1200})
    delete(world.twin, "app", world.clock + SECOND)
    assert world.twin.horizon == 2
    assert world.twin.bytes_at_most == world.twin.keys_at_most == 0
    world.clock += 2 * SECOND
    assert world.send({"text": "y" * 1200}).changed


def test_a_twin_with_too_many_fields_refuses_more() -> None:
    """Counted over both sections; replacing is no growth."""
    world = World(Limits(keys=4))
    world.send({"a": 1, "b": {"c": 1, "d": {}}})
    world.desire({"a": 1})
    assert world.send({"a": 2, "b": {"c": 2}}).changed
    assert world.desire({"z": 1}).refusal == Refusal(
        413,
        "too_many_keys",
        "the twin would have 5 fields, the limit is 4: remove fields (set them to null), or raise "
        "limits.keys",
    )
    assert world.twin.desired.value == {"a": 1}
    assert world.send({"e": 1, "a": None}).changed


@pytest.mark.parametrize(("version", "grows"), [(8, 0), (9, 1)])
def test_a_twin_may_be_as_large_as_its_limit(version: int, grows: int) -> None:
    """And not a byte larger; both sections, presence and the next version are counted."""
    world = World()
    world.desire({"a": "ü" * 300})
    for number in range(2, version):
        world.send({"n": number})
    reconcile_presence(world.twin, Presence(True), world.clock)
    assert world.twin.version == version
    size_bytes = json_size(world.twin.document())
    world.limits = Limits(twin_bytes=size_bytes + len('"b":1,') + grows)
    trial = world.limits.twin_bytes + 1
    assert world.send({"b": 11}).refusal == Refusal(
        413,
        "twin_too_large",
        f"the twin would be {trial} bytes of JSON, the limit is {trial - 1}: remove fields (set "
        "them to null), or raise limits.twin_bytes",
    )
    assert world.send({"b": 1}).changed
    assert json_size(world.twin.document()) == world.limits.twin_bytes


@pytest.mark.parametrize("limits", [Limits(twin_bytes=10), Limits(keys=1)])
def test_a_twin_that_is_too_large_already_may_change_but_not_grow(limits: Limits) -> None:
    """As after the limit was lowered."""
    world = World()
    world.send({"a": 11, "b": 22})
    world.limits = limits
    assert world.send({"a": 33}).changed
    assert world.send({"c": 4}).refusal is not None
    assert world.send({"a": None}).changed
    assert world.reported == {"b": 22}


def test_a_twin_may_have_as_many_fields_as_its_limit() -> None:
    """Counted as they will be: what is replaced does not count twice."""
    world = World(Limits(keys=3))
    world.send({"a": 1, "b": 1})
    assert world.send({"a": 2, "c": 1}).changed
    assert world.send({"a": 3, "d": 1}).refusal is not None


def test_full_is_measured_by_what_it_leaves() -> None:
    """What it does not name is gone."""
    world = World(Limits(keys=2))
    world.send({"a": 1, "b": 2})
    assert world.send({"c": 1, "d": 2}, full=True).changed
    assert world.reported == {"c": 1, "d": 2}
