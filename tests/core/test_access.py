"""What a patch touches, and what is left of a section for who may read a part of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.access import forbidden_path, readable, touched
from bridge.core.described import describe
from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.section import JsonObject, JsonValue
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Update
from tests.core.test_permissions import LAMP, make
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("value", "patch", "expected"),
    [
        ({}, {}, []),
        ({}, {"a": 1, "b": {"c": None}}, ["a", "b.c"]),
        ({"a": 2, "b": 3}, {"a": None}, ["a"]),
        ({"a": {"b": 1, "c": {"d": 2, "e": {}}}}, {"a": 5}, ["a", "a.b", "a.c.d", "a.c.e"]),
        ({"a": {"b": 1}}, {"a": None}, ["a", "a.b"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a", "a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a"]),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, ["a.c"]),
        ({"a": 1}, {"a": {"c": 2}}, ["a", "a.c"]),
        ({"a": {}}, {"a": {"c": 2}}, ["a.c"]),
        ({"a": 1}, {"a": {"b": {"c": 2}}}, ["a", "a.b.c"]),
    ],
)
def test_what_a_patch_touches(value: JsonObject, patch: JsonObject, expected: list[str]) -> None:
    """What it names, what it removes with that, and the value whose place an object takes."""
    assert [".".join(path) for path in touched(value, patch, full=False)] == expected


def test_a_full_patch_touches_everything_that_is_there() -> None:
    """It removes what it does not name."""
    paths = touched({"a": 1, "b": {"c": 2}}, {"d": 3}, full=True)
    assert sorted(".".join(path) for path in paths) == ["a", "b.c", "d"]


_VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.integers(0, 3), st.lists(st.integers(0, 1), max_size=1)),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES, max_size=3)


def _leaves(value: JsonObject, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], JsonValue]:
    found: dict[tuple[str, ...], JsonValue] = {}
    for name, member in value.items():
        if isinstance(member, dict) and member:
            found |= _leaves(member, (*above, name))
        else:
            found[*above, name] = member
    return found


@given(first=_OBJECTS, patch=_OBJECTS, full=st.booleans())
@examples(300)
def test_nothing_visible_changes_that_was_not_touched(
    first: JsonObject, patch: JsonObject, full: bool
) -> None:
    """Held against the core: each field that differs after the update is among the paths."""
    twin = Twin(LAMP)
    reconcile(twin, Update(LAMP, "desired", "anna", first, Metadata(), b"1"), 10, Limits())
    before = _leaves(twin.desired.value)
    paths = set(touched(twin.desired.value, patch, full=full))
    update = Update(LAMP, "desired", "bert", patch, Metadata(full=full), b"2")
    reconcile(twin, update, 20, Limits())
    after = _leaves(twin.desired.value)
    for path in before.keys() | after.keys():
        if path not in before and after[path] == {}:
            continue  # An object that lost its last field to a marker: nothing of a field's.
        if path not in before or path not in after or before[path] != after[path]:
            is_object = isinstance(before.get(path), dict)
            assert path in paths or is_object, path


@pytest.mark.parametrize(
    ("value", "patch", "full", "expected"),
    [
        ({}, {"a": 1}, False, None),
        ({}, {"a": 1, "b": 2}, False, ("b",)),
        ({}, {"c": {"d": 1}}, False, None),
        ({}, {"c": {"d": 1, "e": 2}}, False, ("c", "e")),
        ({"c": 1}, {"c": {"d": 1}}, False, ("c",)),
        ({"a": {"x": 1}}, {"a": None}, False, None),
        ({"a": {"secret": 1}}, {"a": None}, False, ("a", "secret")),
        ({"a": {"secret": 1}}, {"a": {"x": 1}}, False, None),
        ({"a": 1}, {"a": 2}, True, None),
        ({"a": 1, "z": 1}, {"a": 2}, True, ("z",)),
    ],
)
def test_the_path_that_is_forbidden_is_named(
    value: JsonObject, patch: JsonObject, full: bool, expected: tuple[str, ...] | None
) -> None:
    """One that is denied, or that no rule allows."""
    access = make(
        [
            ("anna", "*", "desired.a", "write"),
            ("anna", "*", "desired.a.secret", "deny write"),
            ("anna", "*", "desired.c.d", "write"),
        ]
    ).access("anna", LAMP)
    grant = access.grant("desired", "write")
    assert forbidden_path(grant, value, patch, full=full) == expected


def test_only_what_may_be_read_is_shown() -> None:
    """Also of what is known of each field; an object of which nothing is left goes too."""
    twin = Twin(LAMP)
    state: JsonObject = {
        "a": {"x": 1, "secret": 2},
        "b": {"secret": 3},
        "c": {"d": {}, "e": 1},
        "f": [1],
        "g": {},
    }
    reconcile(twin, Update(LAMP, "desired", "anna", state, Metadata(), b""), 10, Limits())
    access = make(
        [
            ("anna", "*", "desired.*.**", "read"),
            ("anna", "*", "desired.f", "read"),
            ("anna", "*", "desired.*.secret", "deny read"),
        ]
    ).access("anna", LAMP)
    grant = access.grant("desired", "read")
    shown = readable(grant, twin.desired.value)
    assert shown == {"a": {"x": 1}, "c": {"d": {}, "e": 1}, "f": [1]}
    known = describe(twin.desired)
    assert readable(grant, twin.desired.value, known) == {
        "a": {"x": known["a"]["x"]},  # type: ignore[index,call-overload]
        "c": known["c"],
        "f": known["f"],
    }
