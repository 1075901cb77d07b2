"""Merging: the order in which patches come does not matter, only their keys do."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.difference import copy_object, difference
from bridge.core.met import newest_stamp_met
from bridge.core.section import Section, count_leaves, registers_below, same
from bridge.core.tree import Merge
from tests.core.invariants import check_section
from tests.core.reference_tree import ReferenceSection
from tests.support.examples import examples

names = st.sampled_from(["a", "b", "c"])
scalars = st.sampled_from([1, 1.0, True, False, "x", 0, [1], [1, {"k": None}], []])
patches = st.recursive(
    st.dictionaries(names, st.one_of(st.none(), scalars), max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(st.none(), scalars, inner), max_size=3),
    max_leaves=8,
)
writes = st.lists(st.tuples(patches, st.booleans()), max_size=6)


def key_of(number: int) -> tuple[int, str, int, int]:
    """Keys in their order; few stamps, so that writers and sequence numbers decide too."""
    return (number // 4, "wxyz"[number // 2 % 2], 0, number % 2)


def merged(ordered: list[tuple[int, tuple[dict[str, Any], bool]]]) -> Section:
    """Merge numbered writes in this order of arrival; every merge is a version."""
    section = Section()
    for version, (number, (patch, full)) in enumerate(ordered):
        Merge(section, key_of(number), version, version).apply(patch, full=full)
    return section


def rfc7396(target: Any, patch: Any) -> Any:
    """RFC 7396 section 2, as its pseudo-code says."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = rfc7396(result.get(name), value)
    return result


@given(writes, st.randoms())
@examples(1500)
def test_any_order_of_arrival_shows_what_the_rules_say(
    sequence: list[tuple[dict[str, Any], bool]], shuffle: random.Random
) -> None:
    """Permutations of the same writes end in the reference's tree."""
    numbered = list(enumerate(sequence))
    shuffle.shuffle(numbered)
    reference = ReferenceSection()
    for number, (patch, full) in numbered:
        reference.write(patch, key_of(number), full=full)
    assert same(merged(numbered).value, reference.visible())


@given(writes, st.randoms())
@examples(700)
def test_what_changed_is_reported_exactly(
    sequence: list[tuple[dict[str, Any], bool]], shuffle: random.Random
) -> None:
    """The patches forward and back lead from before to after, and are empty if nothing changed."""
    numbered = list(enumerate(sequence))
    shuffle.shuffle(numbered)
    section = Section()
    for version, (number, (patch, full)) in enumerate(numbered):
        before = copy_object(section.value)
        merge = Merge(section, key_of(number), version, version)
        merge.apply(patch, full=full)
        assert bool(merge.forward) == (not same(before, section.value))
        assert same(rfc7396(before, merge.forward), section.value)
        assert prune_to(rfc7396(section.value, merge.backward), before)
        assert merge.took_effect or not merge.forward


@given(writes, patches, st.booleans(), st.randoms())
@examples(300)
def test_a_preview_shows_what_would_be_and_changes_nothing(
    sequence: list[tuple[dict[str, Any], bool]],
    patch: dict[str, Any],
    full: bool,
    shuffle: random.Random,
) -> None:
    """It is what decides on limits before anything is merged."""
    numbered = list(enumerate(sequence))
    shuffle.shuffle(numbered)
    section = merged(numbered)
    before = copy_object(section.value)
    registers = list(section.registers())
    merge = Merge(section, key_of(len(sequence) // 2), len(sequence), 99)
    preview = merge.preview(patch, full=full)
    assert same(section.value, before)
    assert list(section.registers()) == registers
    merge.apply(patch, full=full)
    assert same(section.value, preview.value)


def prune_to(value: Any, wanted: Any) -> bool:
    """Compare where RFC 7396 leaves `{}` behind although the object was not there."""
    if isinstance(value, dict) and isinstance(wanted, dict):
        return all(
            prune_to(value[name], wanted[name]) if name in wanted else is_hollow(value[name])
            for name in value
        ) and all(name in value for name in wanted)
    return same(value, wanted)


def is_hollow(value: Any) -> bool:
    """Tell whether nothing but objects is in it."""
    return isinstance(value, dict) and all(is_hollow(member) for member in value.values())


@given(writes, st.randoms())
@examples(700)
def test_every_visible_leaf_has_a_register_and_every_other_register_is_a_tombstone(
    sequence: list[tuple[dict[str, Any], bool]], shuffle: random.Random
) -> None:
    """The two parallel trees agree, and the list of tombstones is complete."""
    numbered = list(enumerate(sequence))
    shuffle.shuffle(numbered)
    check_section(merged(numbered))


@given(writes, st.randoms(), st.integers(0, 6))
@examples(500)
def test_forgetting_tombstones_changes_nothing_visible(
    sequence: list[tuple[dict[str, Any], bool]], shuffle: random.Random, keep: int
) -> None:
    """The twin looks the same before and after, and the horizon covers what went."""
    numbered = list(enumerate(sequence))
    shuffle.shuffle(numbered)
    section = merged(numbered)
    before = copy_object(section.value)
    versions = {register[4] for register in section.registers()}
    horizon = section.expire_tombstones(arrived_before=2, keep=keep)
    assert same(section.value, before)
    assert len(section.tombstones) <= keep
    assert all(arrival >= 2 for arrival in section.tombstones.values())
    assert horizon in versions | {0}
    section.expire_tombstones(arrived_before=100, keep=0)
    assert same(section.value, before)
    assert len(list(section.registers())) == count_registers_of(section.value, section.nodes)


def count_registers_of(value: Any, nodes: Any) -> int:
    """Count leaves and markers that are visible."""
    total = 0
    for name, member in value.items():
        node = nodes[name]
        if isinstance(member, dict):
            total += count_registers_of(member, node.children) + (node.marker is not None)
        else:
            total += 1
    return total


def test_the_same_again_takes_the_larger_key_and_keeps_its_version() -> None:
    """A repeated value is no change, but a late older one still loses to it."""
    section = Section()
    Merge(section, (1, "w", 0, 0), 0, 1).apply({"on": True, "level": [1, 2]})
    again = Merge(section, (5, "v", 0, 0), 1, 2)
    again.apply({"on": True, "level": [1, 2]})
    assert again.forward == {}
    assert again.took_effect
    assert section.nodes["on"] == (5, "v", 0, 0, 1, "w")
    late = Merge(section, (3, "w", 0, 0), 1, 3)
    late.apply({"on": False})
    assert not late.took_effect
    assert section.value["on"] is True


@pytest.mark.parametrize(
    ("patches", "shown"),
    [
        ([{"a": {"b": 1}}, {"a": {"b": None}}], {}),
        ([{"a": {}}], {"a": {}}),
        ([{"a": {}}, {"a": {"b": 1}}, {"a": {"b": None}}], {"a": {}}),
        ([{"a": {"b": 1}}, {"a": {}}], {"a": {"b": 1}}),
        ([{"a": 1}, {"a": {"b": None}}], {}),
        ([{"a": 1}, {"a": {}}], {"a": {}}),
        ([{"a": {"b": 1}}, {"a": 2}, {"a": {"c": 3}}], {"a": {"c": 3}}),
        ([{"a": {"b": None, "c": None}}], {}),
        ([{"a": {}}, {"a": None}], {}),
        ([{"a": 1}, {"a": 1.0}], {"a": 1.0}),
        ([{"a": 1}, {"a": True}], {"a": True}),
    ],
)
def test_in_order_of_arrival_the_rules_of_trees_hold(
    patches: list[dict[str, Any]], shown: dict[str, Any]
) -> None:
    """Examples of design section 4, one after the other."""
    assert same(merged([(n, (patch, False)) for n, patch in enumerate(patches)]).value, shown)


def test_full_removes_what_it_does_not_name_and_keeps_what_stays_the_same() -> None:
    """The version of an unchanged field does not move."""
    section = Section()
    Merge(section, (1, "w", 0, 0), 0, 1).apply({"a": 1, "b": {"c": 2, "d": 3}, "e": {}})
    merge = Merge(section, (2, "w", 0, 0), 1, 2)
    merge.apply({"a": 1, "b": {"c": 2}}, full=True)
    assert section.value == {"a": 1, "b": {"c": 2}}
    assert section.nodes["a"] == (2, "w", 0, 0, 1, "w")
    assert merge.forward == {"b": {"d": None}, "e": None}
    assert merge.backward == {"b": {"d": 3}, "e": {}}


def test_what_a_patch_meets_is_at_above_and_below_its_paths() -> None:
    """Only registers that last changed up to `seen` count."""
    section = Section()
    Merge(section, (10, "w", 0, 0), 0, 1).apply({"a": {"b": 1, "c": 2}, "d": 1})
    Merge(section, (20, "w", 0, 0), 1, 2).apply({"a": {"c": 3}})
    assert newest_stamp_met(section, {"a": {"b": 2}}, 2, full=False) == 10
    assert newest_stamp_met(section, {"a": 1}, 2, full=False) == 20
    assert newest_stamp_met(section, {"a": None}, 1, full=False) == 10
    assert newest_stamp_met(section, {"x": 1}, 2, full=False) == 0
    assert newest_stamp_met(section, {"a": {"x": 1}}, 2, full=False) == 0
    assert newest_stamp_met(section, {"a": 1}, 0, full=False) == 0
    assert newest_stamp_met(section, {}, 2, full=True) == 20
    assert newest_stamp_met(section, {}, 0, full=True) == 0
    Merge(section, (30, "w", 0, 0), 2, 3).apply({"d": 2}, full=True)
    assert newest_stamp_met(section, {"x": 1}, 2, full=False) == 0
    assert newest_stamp_met(section, {"x": 1}, 3, full=False) == 30


@given(patches, patches)
@examples(100)
def test_a_difference_leads_there_and_back(one: dict[str, Any], other: dict[str, Any]) -> None:
    """For any two objects without nulls."""
    before, after = rfc7396({}, one), rfc7396({}, other)
    forward, backward = difference(before, after)
    assert prune_to(rfc7396(before, forward), after)
    assert prune_to(rfc7396(after, backward), before)
    assert bool(forward) == (not same(before, after))


def test_a_difference_shares_no_object_with_the_documents() -> None:
    """It is kept in the history while they change."""
    before, after = {"old": {"x": {"y": 1}}}, {"new": {"x": {"y": 2}}}
    forward, backward = difference(before, after)
    before["old"]["x"]["y"] = after["new"]["x"]["y"] = 3
    assert forward == {"old": None, "new": {"x": {"y": 2}}}
    assert backward == {"old": {"x": {"y": 1}}, "new": None}


def test_leaves_are_counted_with_empty_objects() -> None:
    """Arrays are one leaf."""
    assert count_leaves({"a": 1, "b": {"c": [1, 2], "d": {}}}) == 3
    assert list(registers_below({})) == []
