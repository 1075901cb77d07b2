from __future__ import annotations

import copy
import enum
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import event, given

from bridge.core.limits import Limits
from bridge.core.reconcile import reconcile
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Update
from bridge.device import JsonObject
from bridge.device import patch as patch_module
from bridge.device.patch import can_compose, checked, compose_into, count_keys
from tests.device.merge_patch import apply_patch
from tests.device.strategies import patches


class _Mode(enum.StrEnum):
    HEAT = "heat"


def _nested(levels: int) -> JsonObject:
    patch: JsonObject = {}
    for _ in range(levels - 1):
        patch = {"a": patch}
    return patch


_CYCLE: dict[str, object] = {}
_CYCLE["self"] = _CYCLE

REFUSED: list[tuple[Mapping[object, object] | object, str]] = [
    ([1], "a patch is a dict, not list"),
    ({1: 2}, "the patch: the key 1 is not a string"),
    ({"a": {None: 2}}, "a: the key None is not a string"),
    ({"$": {"id": "x"}}, "keys that start with $ are reserved"),
    ({"a": [{"$b": 1}]}, "a[0]: keys that start with $"),
    ({"k" * 257: 1}, "more than 256 bytes"),
    ({"ü" * 129: 1}, "more than 256 bytes"),
    ({"a": float("nan")}, "a: nan has no JSON"),
    ({"a": {"b": [float("inf")]}}, "a.b[0]: inf has no JSON"),
    ({"a": 2**63}, "does not fit into 64 bits"),
    ({"a": -(2**63) - 1}, "does not fit into 64 bits"),
    ({"a": b"x"}, "a: bytes has no JSON"),
    ({"a": {1, 2}}, "a: set has no JSON"),
    (_nested(17), "more than 16 objects and arrays"),
    (_CYCLE, "more than 16 objects and arrays"),
]


@pytest.mark.parametrize(("patch", "why"), REFUSED)
def test_what_no_bridge_takes_is_refused_with_its_place(patch: object, why: str) -> None:
    """The caller learns at once, from the message alone, what is wrong and where."""
    with pytest.raises(ValueError, match=re.escape(why)):
        checked(patch, Limits())  # type: ignore[arg-type]


def test_a_checked_patch_is_a_plain_copy() -> None:
    """What the caller changes afterwards is not sent, and subclasses become plain JSON."""
    inner: dict[str, object] = {"mode": _Mode.HEAT, "at": (1, 2)}
    patch = checked({"set": inner, "low": -(2**63), "deep": _nested(15)}, Limits())
    inner["mode"] = "off"
    assert patch == {"set": {"mode": "heat", "at": [1, 2]}, "low": -(2**63), "deep": _nested(15)}
    assert isinstance(patch["set"], dict)
    assert type(patch["set"]["mode"]) is str


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"a": 1}, {"a": {"b": 2}}),
        ({"a": None}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": {}}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {}}}),
        ({"a": {}}, {"a": {"b": 1}}),
    ],
)
def test_what_one_patch_cannot_say_is_not_composed(earlier: JsonObject, later: JsonObject) -> None:
    """An object where something else was set before, and an empty object beside members."""
    assert not can_compose(earlier, later)


@pytest.mark.parametrize(
    ("earlier", "later", "composed"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {"b": None}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {}}, {"a": {}}, {"a": {}}),
        ({"a": {}}, {"a": 1}, {"a": 1}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_composition_keeps_the_later_value_and_every_removal(
    earlier: JsonObject, later: JsonObject, composed: JsonObject
) -> None:
    """By example; the properties below say it for all patches."""
    assert can_compose(earlier, later)
    compose_into(earlier, later)
    assert earlier == composed


@given(patches(), patches(), patches())
def test_a_composed_patch_does_what_both_do_by_the_standard(
    target: JsonObject, earlier: JsonObject, later: JsonObject
) -> None:
    """RFC 7396, whatever the target was."""
    in_turn = apply_patch(apply_patch(target, earlier), later)
    if not can_compose(earlier, later):
        event("not composed")
        return
    compose_into(earlier, later)
    assert apply_patch(target, earlier) == in_turn


def _reported(in_turn: Sequence[JsonObject]) -> list[JsonObject]:
    """Return what the bridge shows after each of these reports."""
    twin = Twin(TwinKey("lamp-1"))
    shown = []
    for seq, patch in enumerate(in_turn, 1):
        update = Update(
            key=twin.key,
            section="reported",
            writer="lamp-1",
            patch=copy.deepcopy(patch),
            metadata=Metadata(boot="b", seq=seq),
            payload=b"%d" % seq,
        )
        outcome = reconcile(twin, update, 1_800_000_000_000_000 + seq, Limits())
        assert outcome.refusal is None
        shown.append(copy.deepcopy(twin.reported.value))
    return shown


@given(patches(), patches(), patches(), patches())
def test_a_composed_patch_does_what_both_do_in_the_bridge(
    target: JsonObject, earlier: JsonObject, later: JsonObject, afterwards: JsonObject
) -> None:
    """The bridge's trees keep more than the standard, and it comes out with what follows."""
    in_turn = _reported([target, earlier, later, afterwards])
    if not can_compose(earlier, later):
        return
    compose_into(earlier, later)
    assert _reported([target, earlier, afterwards])[-2:] == in_turn[-2:]


@given(patches(), patches())
def test_a_patch_that_comes_is_applied_by_the_standard(
    target: JsonObject, patch: JsonObject
) -> None:
    """To a twin with nulls in it too, and neither of them is changed."""
    expected = apply_patch(target, patch)
    before = copy.deepcopy((target, patch))
    assert patch_module.apply_patch(target, patch) == expected
    assert (target, patch) == before


def test_keys_are_counted_at_every_level_of_objects() -> None:
    """Arrays are values: what is in them does not count."""
    assert count_keys({"a": {"b": 1, "c": {}}, "d": [{"e": 1}]}) == 4
