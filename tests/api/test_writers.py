"""Writers that number their messages, and the conflict log, over the socket."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.api import AdminClient
from bridge.core.topics import TwinKey
from bridge.errors import AdminRefused
from tests.api.held import Holder
from tests.api.orders import LAMP, report, update
from tests.store.samples import commit, conflict, twin


def test_writers_are_listed_with_what_is_missing(held: Holder, client: AdminClient) -> None:
    """The most recent writer first, and its newest boot first."""
    held.change(LAMP, report({"a": 1}, boot="old", seq=1))
    held.change(LAMP, report({"a": 2}, boot="new", seq=1))
    held.change(LAMP, report({"a": 3}, boot="new", seq=5))
    held.change(LAMP, report({"a": 4}, boot="new", seq=3))
    held.change(LAMP, update({"a": 5}, boot=7, seq=2))
    answer: Any = client.writers(LAMP)
    assert (answer["device"], answer["name"]) == ("lamp-1", "")
    app, device = answer["writers"]
    assert (app["section"], app["writer"]) == ("desired", "app-1")
    assert [(boot["boot"], boot["seq"], boot["missing"]) for boot in app["boots"]] == [
        (7, 2, [[1, 1]])
    ]
    assert (device["section"], device["writer"]) == ("reported", "lamp-1")
    assert [(boot["boot"], boot["seq"], boot["missing"]) for boot in device["boots"]] == [
        ("new", 5, [[2, 2], [4, 4]]),
        ("old", 1, []),
    ]
    assert app["boots"][0]["stamp"] > device["boots"][0]["stamp"] > 0


def test_a_writer_that_is_forgotten_begins_anew(held: Holder, client: AdminClient) -> None:
    """What it sends with the same number again is no repeat any more."""
    held.change(LAMP, report({"a": 1}, boot="b", seq=1))
    held.change(LAMP, report({"a": 2}, boot="b", seq=2))
    assert held.change(LAMP, report({"a": 3}, boot="b", seq=2)).duplicate
    assert client.forget_writer(LAMP, "lamp-1") == {
        "device": "lamp-1",
        "name": "",
        "writer": "lamp-1",
        "section": None,
    }
    assert client.writers(LAMP)["writers"] == []
    assert held.change(LAMP, report({"a": 3}, boot="b", seq=2)).changed


def test_a_writer_can_be_forgotten_in_one_section(held: Holder, client: AdminClient) -> None:
    """A device may desire something too."""
    held.change(LAMP, report({"a": 1}, boot="b", seq=1))
    held.change(LAMP, update({"a": 1}, writer="lamp-1", boot="b", seq=1))
    client.forget_writer(LAMP, "lamp-1", "reported")
    [left] = client.writers(LAMP)["writers"]  # type: ignore[misc]
    assert left["section"] == "desired"
    with pytest.raises(AdminRefused, match="lamp-1 remembers no writer lamp-1 in reported"):
        client.forget_writer(LAMP, "lamp-1", "reported")


def test_what_is_not_remembered_is_not_found(held: Holder, client: AdminClient) -> None:
    """No writer of that name, no twin of that name: and none is made."""
    held.change(LAMP, report({"a": 1}))
    assert client.writers(LAMP)["writers"] == []
    with pytest.raises(AdminRefused, match="twin lamp-1 remembers no writer app-9") as caught:
        client.forget_writer(LAMP, "app-9")
    assert caught.value.status == 404
    nobody = TwinKey("nobody")
    for ask in (client.writers, lambda key: client.forget_writer(key, "app-9")):
        with pytest.raises(AdminRefused, match="there is no twin nobody") as caught:
            ask(nobody)
        assert caught.value.status == 404
    assert held.store.load([nobody]) == {}


def test_conflicts_come_in_pages_the_newest_first(held: Holder, client: AdminClient) -> None:
    """Of one twin, or of all; the next page is before the last id."""
    rows = [conflict(1), conflict(2, "lamp-2"), conflict(3)]
    twins = [twin("lamp-1", version=5), twin("lamp-2", version=5)]
    commit(held.store, twins)
    for row in rows:
        commit(held.store, conflicts=[row])
    everything: Any = client.conflicts(None)["conflicts"]
    assert [(row["device"], row["version"]) for row in everything] == [
        ("lamp-1", 3),
        ("lamp-2", 2),
        ("lamp-1", 1),
    ]
    first = rows[2]
    assert everything[0] == {
        "id": everything[0]["id"],
        "device": "lamp-1",
        "name": "",
        "version": 3,
        "at": first.at,
        "section": first.section,
        "path": orjson.loads(first.path),
        "policy": first.policy,
        "kept": orjson.loads(first.kept),
        "kept_by": first.kept_by,
        "kept_stamp": first.kept_stamp,
        "lost": orjson.loads(first.lost),
        "lost_by": first.lost_by,
        "lost_stamp": first.lost_stamp,
    }
    [newest] = client.conflicts(LAMP, limit=1)["conflicts"]  # type: ignore[misc]
    assert newest == everything[0]
    assert client.conflicts(LAMP, before=newest["id"])["conflicts"] == everything[2:]
    assert client.conflicts(None, before=newest["id"])["conflicts"] == everything[1:]


def test_conflicts_of_an_unknown_twin_are_not_found(client: AdminClient) -> None:
    """While all twins together may well have none."""
    assert client.conflicts(None) == {"conflicts": []}
    with pytest.raises(AdminRefused, match="there is no twin nobody") as caught:
        client.conflicts(TwinKey("nobody"))
    assert caught.value.status == 404
