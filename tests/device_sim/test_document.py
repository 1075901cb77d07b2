"""Merge patches, visibility and exact comparison."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.section import Section
from bridge.core.tree import Merge
from bridge.device import JsonObject, JsonValue
from device_sim.document import (
    MISSING,
    Difference,
    apply_patch,
    at_path,
    differences,
    equal_by_value,
    leaves,
    nested,
    patches_between,
    same,
    visible,
)

_KEYS = st.sampled_from(["a", "b", "em:0"])
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2), st.sampled_from([0.0, 1.0]), st.just("x")
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2)),
    lambda below: st.dictionaries(_KEYS, below, max_size=3),
    max_leaves=8,
)
_DOCUMENTS: st.SearchStrategy[JsonObject] = st.dictionaries(_KEYS, _VALUES, max_size=3)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"a": None, "b": 0.0}, {"b": 0.0}),
        ({"a": {"b": None}}, {}),
        ({"a": {"b": {"c": None}, "d": None}}, {}),
        ({"a": {}}, {"a": {}}),
        ({"a": {"b": {}, "c": None}}, {"a": {"b": {}}}),
        ({"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
    ],
)
def test_visible_is_what_a_twin_shows_of_a_document(
    document: JsonObject, expected: JsonObject
) -> None:
    """Nulls go, and objects with nothing but nulls; empty objects and arrays stay as they are."""
    assert visible(document) == expected


@given(_DOCUMENTS, _DOCUMENTS)
def test_patches_lead_from_one_document_to_the_next(one: JsonObject, other: JsonObject) -> None:
    """Merging the patches turns the first document into the second, types included."""
    before, after = visible(one), visible(other)
    patches = patches_between(before, after)
    document = copy.deepcopy(before)
    for patch in patches:
        apply_patch(document, patch)
    assert list(differences(after, document)) == []
    assert len(patches) <= 2
    assert bool(patches) == (not same(before, after))


@given(st.lists(_DOCUMENTS, min_size=1, max_size=4))
def test_the_core_merges_the_patches_to_the_same(documents: list[JsonObject]) -> None:
    """The bridge's own merge ends at what `visible` says of the last document."""
    section = Section()
    before: JsonObject = {}
    seq = 0
    for number, document in enumerate(documents):
        after = visible(document)
        patches = patches_between(before, after) if number else [document]
        for patch in patches:
            seq += 1
            Merge(section, (seq, "plug-7", 1, seq), seq, seq).apply(
                copy.deepcopy(patch), full=not number
            )
        before = after
    assert list(differences(before, section.value)) == []


def test_an_object_that_loses_its_last_field_goes() -> None:
    """Unlike RFC 7396, and like a twin, no empty object is left."""
    document: JsonObject = {"a": {"b": {"c": 1}}, "d": 1}
    apply_patch(document, {"a": {"b": {"c": None}}})
    assert document == {"d": 1}


def test_an_emptied_object_takes_two_patches() -> None:
    """One removes the fields, and the object with them; the next sets the empty object."""
    assert patches_between({"a": {"b": 1}}, {"a": {}}) == [{"a": {"b": None}}, {"a": {}}]


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, False), ("1", 1), ([1], [1.0]), ({}, [])]
)
def test_types_count_in_a_comparison(one: JsonValue, other: JsonValue) -> None:
    """What Python holds to be equal may still be two things in JSON."""
    assert not same(one, other)
    assert same(one, copy.deepcopy(one))


def test_differences_name_the_path_and_both_values() -> None:
    """Each differing leaf is named once, with what is missing on either side."""
    found = list(differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1.0}, "d": 3}))
    assert found == [
        Difference(("a", "b"), 1, 1.0),
        Difference(("a", "c"), 2, MISSING),
        Difference(("d",), MISSING, 3),
    ]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (21.3, 21.299999237060547, True),
        (21.3, 21.31, False),
        (True, 1, False),
        (1e300, 1e300, True),
        (1e300, 2e300, False),
        ([1, 2], [1.0, 2], True),
        ([1, 2], [1], False),
        ({"a": 1}, {"a": 1.0}, True),
        (1, MISSING, False),
    ],
)
def test_values_are_equal_as_a_delta_has_it(one: JsonValue, other: JsonValue, equal: bool) -> None:
    """By value, and within a 32-bit float; a boolean is not a number."""
    assert equal_by_value(one, other) is equal


def test_leaves_and_nested_are_each_others_inverse() -> None:
    """A document is the merge of its leaves."""
    document: JsonObject = {"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}, "f": {}}
    rebuilt: JsonObject = {}
    for path, value in leaves(document):
        assert at_path(document, path) == value
        apply_patch(rebuilt, nested(path, value))
    assert rebuilt == document
