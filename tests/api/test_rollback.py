"""Bringing a section back to what it was, over the socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bridge.api import AdminClient
from bridge.api.socket_file import socket_path
from bridge.core.orders import Deletion, Order
from bridge.core.reconcile import Outcome
from bridge.core.timeline import Point
from bridge.core.topics import TwinKey
from bridge.core.update import Presence, SectionName
from bridge.errors import AdminRefused, Refused
from bridge.store.audit import AuditRow
from tests.api.held import Holder
from tests.api.orders import LAMP, report, update


def roll_back(
    client: AdminClient, to: int, section: SectionName = "desired", writer: str = "anna"
) -> Any:
    """Roll the lamp back."""
    return client.rollback(LAMP, Point("version", to), section, writer)


def desired(client: AdminClient) -> Any:
    """What is desired of the lamp now."""
    newest: Any = client.history(LAMP, limit=1)["history"]
    return client.state(LAMP, Point("version", newest[0]["version"]))["desired"]


@pytest.fixture
def lamp(held: Holder) -> TwinKey:
    """Desired three times: versions 1 to 3."""
    for patch in (
        {"on": True, "color": {"r": 1}, "empty": {}, "list": [1, {"a": None}]},
        {"on": False, "color": {"g": 2}, "timer": 30, "empty": None},
        {"color": None, "list": None, "scene": "night", "empty": {"x": 1}},
    ):
        assert held.change(LAMP, update(patch)).changed
    return LAMP


@pytest.fixture
def http(held: Holder) -> Iterator[httpx.Client]:
    """HTTP on the socket, as another program would speak it."""
    transport = httpx.HTTPTransport(uds=str(socket_path(held.store.path)))
    with httpx.Client(transport=transport, base_url="http://bridge", trust_env=False) as client:
        yield client


def test_a_rollback_is_a_new_version_by_the_operator(client: AdminClient, lamp: TwinKey) -> None:
    """The past stays as it was, and the patch has nulls for what was not there."""
    past = client.history(lamp)["history"]
    answer = roll_back(client, 2)
    assert answer == {
        "device": "lamp-1",
        "name": "",
        "section": "desired",
        "version": 4,
        "changed": True,
        "superseded": False,
        "patch": {
            "color": {"r": 1, "g": 2},
            "list": [1, {"a": None}],
            "scene": None,
            "empty": None,
        },
        "remaining": {},
    }
    newest, *rest = client.history(lamp)["history"]  # type: ignore[misc]
    assert rest == past
    assert (newest["version"], newest["writer"], newest["section"]) == (4, "anna", "desired")
    assert newest["patch"] == answer["patch"]
    assert desired(client) == client.state(lamp, Point("version", 2))["desired"]


def test_an_object_that_was_empty_is_empty_again(client: AdminClient, lamp: TwinKey) -> None:
    """Although removing the last field of an object removes the object."""
    assert roll_back(client, 1)["version"] == 4
    assert desired(client) == {
        "on": True,
        "color": {"r": 1},
        "empty": {},
        "list": [1, {"a": None}],
    }


def test_a_rollback_can_be_rolled_back(client: AdminClient, lamp: TwinKey) -> None:
    """It is a change like others."""
    before = desired(client)
    roll_back(client, 1)
    assert roll_back(client, 3)["version"] == 5
    assert desired(client) == before


def test_a_rollback_to_what_is_there_changes_nothing(client: AdminClient, lamp: TwinKey) -> None:
    """No version is made of it."""
    answer = roll_back(client, 3)
    assert (answer["version"], answer["changed"], answer["patch"]) == (3, False, {})


def test_the_other_section_stays(held: Holder, client: AdminClient, lamp: TwinKey) -> None:
    """And `reported` can be rolled back where that is asked for; the device stays offline."""
    held.change(LAMP, report({"on": True}))
    held.change(LAMP, report({"on": False}))
    held.change(LAMP, Presence(False))
    before = desired(client)
    assert roll_back(client, 4, "reported")["version"] == 7
    state = held.store.load([LAMP])[LAMP].state
    assert b'"reported":{"on":true}' in state
    assert b'"online":false' in state
    assert desired(client) == before
    newest: Any = client.history(lamp, limit=1)["history"]
    assert newest[0]["writer"] == "anna"


def test_what_was_deleted_can_be_brought_back(
    held: Holder, client: AdminClient, lamp: TwinKey
) -> None:
    """The twin is made anew, with what was desired of it."""
    before = desired(client)
    held.change(LAMP, Deletion("app-1"))
    assert roll_back(client, 3)["version"] == 5
    assert desired(client) == before


@pytest.mark.parametrize(
    ("to", "status", "detail"),
    [
        (0, 404, "did not exist at version 0"),
        (4, 404, "has no version 4 yet"),
        (1, 410, "its history begins with the change of version 3"),
    ],
)
def test_a_version_that_is_not_there_changes_nothing(
    held: Holder, client: AdminClient, lamp: TwinKey, to: int, status: int, detail: str
) -> None:
    """Gone, not reached, or before the twin: a clear answer."""
    held.store._connection.execute("DELETE FROM history_block WHERE version < 3")
    with pytest.raises(AdminRefused, match=detail) as caught:
        roll_back(client, to)
    assert caught.value.status == status
    assert held.store.load([LAMP])[LAMP].version == 3


def test_a_change_in_between_is_not_overwritten(
    held: Holder, client: AdminClient, lamp: TwinKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rollback is refused, as one that says `if` would be by MQTT."""
    apply = held.apply

    async def apply_second(key: TwinKey, order: Order, act: AuditRow | None) -> Outcome:
        await apply(LAMP, update({"on": "dimmed"}, writer="app-2"))
        return await apply(key, order, act)

    monkeypatch.setattr(held, "apply", apply_second)
    with pytest.raises(Refused, match="refused with 409 version_mismatch") as caught:
        roll_back(client, 2)
    assert (caught.value.code, caught.value.error) == (409, "version_mismatch")
    assert held.store.load([LAMP])[LAMP].version == 4
    assert desired(client)["on"] == "dimmed"


def test_presence_in_between_does_no_harm(
    held: Holder, client: AdminClient, lamp: TwinKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes a version, but changes no section."""
    apply = held.apply

    async def apply_second(key: TwinKey, order: Order, act: AuditRow | None) -> Outcome:
        await apply(LAMP, Presence(True))
        return await apply(key, order, act)

    monkeypatch.setattr(held, "apply", apply_second)
    assert roll_back(client, 2)["version"] == 5


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "`to` must be a version or a time"),
        ({"to": True}, "`to` must be a version or a time"),
        ({"to": 1.5}, "`to` must be a version or a time"),
        ({"to": -1}, "`to`: '-1' is neither a version nor a time"),
        ({"to": 1, "section": "twin"}, "`section` must be reported or desired"),
        ({"to": 1, "section": ["desired"]}, "`section` must be reported or desired"),
        ({"to": 1, "writer": "a/b"}, "`writer` must be a name"),
        ({"to": 1, "writer": "report"}, "`writer` must be a name"),
        ({"to": 1, "writer": 7}, "`writer` must be a name"),
    ],
)
def test_a_bad_request_changes_nothing(
    held: Holder, http: httpx.Client, lamp: TwinKey, body: dict[str, Any], detail: str
) -> None:
    """Refused with what is wrong."""
    answer = http.post("/v1/twins/lamp-1/rollback", json=body)
    assert answer.status_code == 400
    assert detail in answer.json()["detail"]
    assert held.store.load([LAMP])[LAMP].version == 3


def test_without_a_writer_it_is_the_operators(http: httpx.Client, lamp: TwinKey) -> None:
    """And the section is `desired`; a time may be given."""
    [newest] = http.get("/v1/twins/lamp-1/history?limit=1").json()["history"]
    answer = http.post("/v1/twins/lamp-1/rollback", json={"to": newest["at"] - 1})
    assert (answer.json()["version"], answer.json()["section"]) == (4, "desired")
    [newest] = http.get("/v1/twins/lamp-1/history?limit=1").json()["history"]
    assert newest["writer"] == "operator"
