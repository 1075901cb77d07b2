"""The answer to a `get`: the whole twin, or what changed, in both encodings."""

from __future__ import annotations

from typing import Any

import msgpack
import orjson
import pytest

from bridge.wire import outbound
from bridge.wire.inbound import Encoding, GetRequest
from tests.core.world import World


def answer(world: World, encoding: Encoding = "json", **request: Any) -> bytes:
    """The answer as it is published."""
    asked = GetRequest(**request)
    return outbound.encode(outbound.twin_answer(world.twin, asked, "g1", 7), encoding)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_changed_is_answered_in_the_encoding_that_was_asked_in(encoding: Encoding) -> None:
    """The same document in both; removals are null and nil."""
    world = World()
    world.send({"on": True, "color": {"r": 1, "g": 2}, "old": 1})
    world.send({"color": {"g": 3}, "old": None})
    world.desire({"on": False})
    read = orjson.loads if encoding == "json" else msgpack.unpackb
    document = read(answer(world, encoding, since=1))
    assert document == {
        "$": {"id": "g1", "ok": True, "version": 3, "since": 1},
        "at": world.twin.at,
        "reported": {"color": {"g": 3}, "old": None},
        "desired": {"on": False},
        "last_seen": 7,
    }
    assert "reported" not in read(answer(world, encoding, since=3))
    assert read(answer(world, encoding, since=4))["$"]["full"] is True


def test_who_is_far_behind_fetches_little_where_little_changed() -> None:
    """A hundred changes to a twentieth of the fields are a tenth of the twin's bytes at most."""
    world = World()
    fields = {f"sensor_{number:03}": number + 0.25 for number in range(200)}
    world.send(fields)
    for change in range(100):
        world.send({f"sensor_{change % 10:03}": change + 0.5})
    assert world.twin.version == 101
    assert len(answer(world, since=1)) <= len(answer(world)) / 10


def test_meta_describes_both_sections() -> None:
    """Beside the whole, and beside what changed."""
    world = World()
    world.send({"on": True})
    world.desire({"on": False}, "anna")
    for since in (None, 1):
        meta = orjson.loads(answer(world, since=since, meta=True))["meta"]
        assert meta["reported"]["on"]["$changed_by"] == "lamp-1"
        assert meta["desired"]["on"]["$changed_by"] == "anna"


def test_a_device_that_was_never_heard_has_no_last_seen() -> None:
    """Nor does an answer without an id have one."""
    world = World()
    world.desire({"on": False}, "anna")
    document = outbound.twin_answer(world.twin, GetRequest(), None, 0)
    assert "last_seen" not in document
    assert document["$"] == {"ok": True, "version": 1, "full": True}
