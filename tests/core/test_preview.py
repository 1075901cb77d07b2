"""What an update would show, before anything is merged: it decides on the twin's limits."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.difference import copy_object
from bridge.core.screen import Screening
from bridge.core.section import Key, same
from bridge.core.tree import Merge
from tests.core.world import NOW, SECOND, World

POLICIES = {"desired.sum": "sum", "desired.ours": "device", "desired.first": "first"}


def key_at(second: int, writer: str) -> Key:
    """The key of a message that was written so many seconds after the beginning."""
    return (NOW + second * SECOND, writer, 0, NOW + second * SECOND)


@pytest.mark.parametrize(
    ("messages", "second", "patch", "shown"),
    [
        pytest.param([{"a": 1}], 9, {"a": 2}, {"a": 2}, id="a plain value"),
        pytest.param([{"a": 2}, {"a": None}], 1, {"a": 1}, {}, id="a late value after a removal"),
        pytest.param([{"a": {"b": 1}}, {"a": 5}], 9, {"a": {"c": None}}, {},
                     id="a value with something hidden below it"),
        pytest.param([{"a": {"b": 1}}], 9, {"a": 5}, {"a": 5}, id="a value in an object's place"),
        pytest.param([{"a": {}}], 0, {"a": None}, {"a": {}}, id="an object that was set empty"),
        pytest.param([{"a": {"b": {"c": 1}}}], 0, {"a": None}, {"a": {"b": {"c": 1}}},
                     id="something newer below"),
        pytest.param([{"a": 1}, {"b": 1}], 1, {"b": 0, "c": 3}, {"a": 1, "b": 1, "c": 3},
                     id="something newer beside"),
        pytest.param([{"sum": 5}, {"sum": 3}], 9, {"sum": 4}, {"sum": 9}, id="contributions"),
        pytest.param([{"sum": 5}, {"sum": 3}], 9, {"sum": 1}, {"sum": 8}, id="a smaller total"),
    ],
)  # fmt: skip
def test_a_preview_is_what_comes(
    messages: list[dict[str, Any]], second: int, patch: dict[str, Any], shown: dict[str, Any]
) -> None:
    """Whatever is remembered of the section, and whatever its policies are."""
    world = World(policies=POLICIES)
    for message, writer in zip(messages, ("anna", "bert"), strict=False):
        world.desire(message, writer)
    section = world.twin.desired
    before = copy_object(section.value)
    merge = Merge(section, key_at(second, "bert"), world.twin.version, world.clock)
    assert same(merge.preview(patch, full=False).value, shown)
    assert same(section.value, before)
    merge.apply(patch)
    assert same(section.value, shown)


@pytest.mark.parametrize(
    ("writer", "seen", "shown"),
    [("bert", None, "theirs"), ("bert", 1, "mine"), ("lamp-1", None, "mine")],
)
def test_a_preview_knows_the_writer_and_what_it_had_seen(
    writer: str, seen: int | None, shown: str
) -> None:
    """Where a class of writers is preferred."""
    world = World(policies=POLICIES)
    world.desire({"ours": "theirs"}, "lamp-1")
    merge = Merge(world.twin.desired, key_at(9, writer), 1, world.clock, seen=seen, device="lamp-1")
    assert merge.preview({"ours": "mine"}, full=False).value == {"ours": shown}


def test_a_preview_keeps_what_was_first() -> None:
    """As the screening has said."""
    world = World(policies=POLICIES)
    world.desire({"first": "anna"}, "anna")
    section, key = world.twin.desired, key_at(9, "bert")
    screening = Screening(section, "desired", key, 0, "lamp-1")
    screening.look_at({"first": "bert"}, full=False)
    merge = Merge(section, key, 1, world.clock, seen=0, kept=screening.kept)
    assert merge.preview({"first": "bert"}, full=False).value == {"first": "anna"}


def test_a_preview_of_full_is_what_it_leaves() -> None:
    """And what is newer stays."""
    world = World()
    world.desire({"a": 1, "b": 2}, "anna")
    world.desire({"c": 3}, "anna")
    merge = Merge(world.twin.desired, key_at(1, "bert"), 2, world.clock)
    assert merge.preview({"b": 4}, full=True).value == {"b": 4, "c": 3}
    assert world.desired == {"a": 1, "b": 2, "c": 3}
