"""Histories on which the core and the model once differed, as small as they get."""

from __future__ import annotations

import pytest

from tests.reference.pair import check_history
from tests.reference.steps import NOW, SECOND, Reload, Send, Step


def wants(
    writer: str, patch: dict[str, object], second: int, t: int | None = None, **fields: object
) -> Send:
    """Return an update of `desired`, arriving at a second; `t` in seconds of the same clock."""
    time = None if t is None else NOW + t * SECOND
    return Send("desired", writer, patch, NOW + second * SECOND, t=time, **fields)  # type: ignore[arg-type]


FOUND: dict[str, tuple[dict[str, str], list[Step]]] = {
    "a swept mark changes no version where the object stays": (
        {},
        [
            wants("anna", {"b": {"a": {}}}, 1),
            wants("zoe", {"b": {"a": {"a": 1}}}, 25),
            wants("lamp", {}, 26, t=5, full=True),
        ],
    ),
    "an edit that had not seen a full loses to it": (
        {},
        [
            wants("lamp", {"a": 1}, 1, full=True),
            wants("lamp", {"x": 1}, 2, t=-3600, seen=0),
        ],
    ),
    "a value above drops what a class of writers had set below": (
        {"desired.**": "device"},
        [
            wants("lamp", {"c": {"b": None}}, 1),
            wants("zoe", {"c": 1}, 2),
            wants("zoe", {"c": {"b": 1}}, 3),
        ],
    ),
    "a swept mark is no removal by its writer's class": (
        {"desired.**": "device"},
        [
            wants("lamp", {"a": {"b": {}}}, 1),
            wants("zoe", {"a": {"b": {"c": 1}}}, 30),
            wants("anna", {"a": None}, 31, t=5),
            wants("zoe", {"a": {"b": 5}}, 40),
        ],
    ),
    "what `first` drops hides nothing above it": (
        {"desired.**": "first"},
        [
            wants("zoe", {"b": 1}, 1),
            wants("lamp", {"b": {"c": 1}}, 2, seen=0),
        ],
    ),
    "a full leaves alone what `first` keeps, with its contributions": (
        {"desired.**": "sum"},
        [
            wants("lamp", {"a": {"b": 1}}, 1),
            Reload({"desired.**": "first"}),
            wants("anna", {"a": {"b": 0}}, 2, seen=0, full=True),
        ],
    ),
    "an empty array is a value of a union": (
        {"desired.*": "union"},
        [wants("lamp", {"b": []}, 1), wants("zoe", {"b": [1]}, 2), wants("anna", {"b": []}, 3)],
    ),
    "a full that empties an object first revives nothing": (
        {},
        [
            wants("lamp", {"b": None}, 1),
            wants("anna", {"b": {"a": {}}}, 2),
            wants("zoe", {"b": {}}, 3, seen=0, full=True),
        ],
    ),
    "a removal that takes only what a class had seen shows the other class's write": (
        {"desired.**": "device"},
        [
            wants("zoe", {"b": 1}, 10, boot="x", seq=2),
            wants("lamp", {"a": 0}, 20),
            wants("zoe", {"a": None}, 30, boot="x", seq=3),
            wants("zoe", {"a": None}, 40, boot="x", seq=1, seen=9),
            wants("anna", {}, 50, t=15, full=True),
        ],
    ),
    "of equal keys the nearer one is above": (
        {"desired.**": "refuse"},
        [
            wants("lamp", {"b": 1}, 1),
            wants("anna", {"a": 1}, 2),
            wants("anna", {"b": 1}, 3, full=True),
            wants("lamp", {"b": {}}, 4),
            wants("lamp", {"b": {"b": 1}}, 5, seen=2),
        ],
    ),
    "a policy that comes later begins with nothing that is hidden": (
        {},
        [
            wants("lamp", {"b": {"b": None}}, 1),
            wants("lamp", {"b": 1}, 2),
            Reload({"desired.**": "device", "desired.a": "app"}),
            wants("anna", {"b": {"b": 1}}, 4),
        ],
    ),
    "a policy that comes later begins with the removal that a full has named": (
        {},
        [
            wants("anna", {"c": {}, "b": None}, 1, full=True),
            Reload({"desired.**": "app"}),
            wants("lamp", {"b": None}, 3),
        ],
    ),
    "an object that a full has emptied was removed by no class of writers": (
        {"desired.**": "device"},
        [
            wants("lamp", {"c": {}}, 1),
            wants("lamp", {"c": {"b": {"c": None}}}, 2, full=True),
            wants("zoe", {"c": 1}, 3),
        ],
    ),
    "a hidden value above what `first` keeps is dropped by a full": (
        {"desired.c.*": "first", "desired.*": "max"},
        [
            wants("lamp", {}, 0),
            wants("anna", {"a": {}}, 1),
            wants("anna", {"c": {}}, 2),
            wants("anna", {"b": 1}, 3),
            wants("lamp", {"c": 1}, 4, t=-8),
            wants("anna", {"c": {"c": 1}}, 5, seen=3, full=True),
            wants("lamp", {"c": 0}, 6),
        ],
    ),
    "a full that empties an object hides what was removed below it": (
        {},
        [
            wants("lamp", {}, 0),
            Send("reported", "lamp", {"b": 1}, NOW + SECOND),
            wants("anna", {"c": {}}, 2),
            wants("zoe", {}, 3, full=True),
            wants("lamp", {"a": {"b": None}}, 4),
            wants("lamp", {"a": {}}, 5),
            wants("zoe", {"a": {"a": None}}, 6, full=True),
            wants("anna", {"a": {"b": {}}}, 7, seen=3),
        ],
    ),
    "a full marks no object below a hidden value that is newer": (
        {},
        [
            wants("lamp", {"a": 1}, 7),
            wants("lamp", {"a": {"b": {"b": 1}}}, 8),
            wants("zoe", {"a": {"b": {}}}, 9, t=3, full=True),
            wants("lamp", {"a": {"b": {"b": None}}}, 10),
        ],
    ),
    "nor is such a full in the way of what comes first": (
        {"desired.**": "first"},
        [
            wants("lamp", {}, 0, full=True),
            wants("lamp", {"a": 1}, 7),
            wants("lamp", {"a": {"b": {"b": 1}}}, 8),
            wants("zoe", {"a": {"b": {}}}, 9, t=3, full=True),
            wants("lamp", {"a": 1}, 10, seen=0),
        ],
    ),
    "an object goes with the contributions that a late full takes from it": (
        {"desired.**": "app"},
        [
            wants("zoe", {"a": 1}, 0),
            wants("anna", {"a": {"c": {"b": 1}}}, 1),
            wants("lamp", {"a": {"c": {"b": None}}}, 4),
            wants("bert", {"a": {"c": {"b": {}}}}, 5, t=3, full=True),
        ],
    ),
    "the writer of such a full is in no conflict with what it hid": (
        {},
        [
            Send("reported", "lamp", {}, NOW),
            Send("reported", "lamp", {"b": 0}, NOW + SECOND),
            wants("lamp", {"c": {}}, 2),
            wants("lamp", {"c": {"c": None}}, 3),
            wants("anna", {"c": {"b": None}}, 4, full=True),
            wants("anna", {"c": {"c": 1}}, 5, seen=2),
        ],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_they_agree_where_they_once_differed(name: str) -> None:
    """Each of these has found a fault, of the core or of the model."""
    check_history(*FOUND[name])
