"""What a twin was, asked over the socket, with a history that real updates have made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bridge.api import AdminClient
from bridge.api.past import ROWS_PER_PAGE
from bridge.api.socket_file import socket_path
from bridge.core.orders import Deletion
from bridge.core.timeline import Point
from bridge.core.topics import TwinKey
from bridge.core.update import Presence
from bridge.errors import AdminRefused
from bridge.service.clock import now_us
from tests.api.held import Holder
from tests.api.orders import LAMP, report, update


def version(number: int) -> Point:
    """The point at a version."""
    return Point("version", number)


@pytest.fixture
def lamp(held: Holder) -> TwinKey:
    """Created, changed, offline, deleted, created anew, changed: versions 1 to 6."""
    for order in (
        report({"on": True, "color": {"r": 1}}),
        update({"level": 1}),
        Presence(False),
        Deletion("app-1"),
        report({"on": True}),
        report({"on": False}),
    ):
        assert held.change(LAMP, order).changed
    return LAMP


@pytest.fixture
def http(held: Holder) -> Iterator[httpx.Client]:
    """HTTP on the socket, as another program would speak it."""
    transport = httpx.HTTPTransport(uds=str(socket_path(held.store.path)))
    with httpx.Client(transport=transport, base_url="http://bridge", trust_env=False) as client:
        yield client


def test_a_twin_is_answered_as_it_was(client: AdminClient, lamp: TwinKey) -> None:
    """At every version at which it existed, with the time of the change that led there."""
    rows: Any = client.history(lamp)["history"]
    times = {row["version"]: row["at"] for row in rows}
    first = {"on": True, "color": {"r": 1}}
    for number, at, reported, desired in (
        (1, times[1], first, {}),
        (2, times[2], first, {"level": 1}),
        (3, times[2], first, {"level": 1}),
        (5, times[5], {"on": True}, {}),
        (6, times[6], {"on": False}, {}),
    ):
        assert client.state(lamp, version(number)) == {
            "device": "lamp-1",
            "name": "",
            "version": number,
            "at": at,
            "reported": reported,
            "desired": desired,
        }
    assert client.state(lamp, Point("time", times[2]))["version"] == 2
    assert client.state(lamp, Point("time", times[2] - 1))["version"] == 1


def test_without_a_point_the_present_is_answered(http: httpx.Client, lamp: TwinKey) -> None:
    """On the path of the twin, and on that which no name hides."""
    for path in ("/v1/twins/lamp-1", "/v1/twins/lamp-1/state"):
        assert http.get(path).json()["version"] == 6
        assert http.get(path, params={"at": 5}).json()["reported"] == {"on": True}


@pytest.mark.parametrize("name", ["diff", "writers", "conflicts", "rollback"])
def test_a_named_twin_may_be_called_like_a_route(
    held: Holder, client: AdminClient, http: httpx.Client, name: str
) -> None:
    """It has all of them, under its own name."""
    key = TwinKey("lamp-1", name)
    held.change(key, report({"on": True}, key=key))
    held.change(key, report({"on": False}, key=key))
    assert client.state(key, version(1))["reported"] == {"on": True}
    assert client.diff(key, version(1), version(2))["name"] == name
    assert client.writers(key)["name"] == name
    assert http.get(f"/v1/twins/lamp-1/{name}/state").json()["name"] == name


@pytest.mark.parametrize(
    ("point", "status", "detail"),
    [
        (version(7), 404, "twin lamp-1 is at version 6: it has no version 7 yet"),
        (version(0), 404, "twin lamp-1 did not exist at version 0: it had no version yet"),
        (version(4), 404, "twin lamp-1 did not exist at version 4: it was deleted on 20"),
        (Point("time", 10**15), 404, "did not exist at 2001-09-09T01:46:40.000000Z: it had no"),
        (Point("time", 2**53 - 1), 404, "2255-06-05T23:47:34.740991Z has not come yet"),
        (Point("time", -1), 404, "did not exist at 1969-12-31T23:59:59.999999Z: it had no"),
    ],
)
def test_what_never_was_is_not_found(
    client: AdminClient, lamp: TwinKey, point: Point, status: int, detail: str
) -> None:
    """And the answer says why."""
    with pytest.raises(AdminRefused) as caught:
        client.state(lamp, point)
    assert caught.value.status == status
    assert detail in caught.value.message


def test_an_integer_that_looks_like_seconds_has_a_hint(client: AdminClient, lamp: TwinKey) -> None:
    """Many clocks count them; versions do not come so far."""
    with pytest.raises(AdminRefused) as caught:
        client.state(lamp, version(1_795_600_800))
    assert "a time is written in µs" in caught.value.hint


def test_what_is_no_longer_kept_is_gone(held: Holder, client: AdminClient, lamp: TwinKey) -> None:
    """410, and the answer says how far back the history reaches, and how to keep more."""
    held.store._connection.execute("DELETE FROM history_block WHERE version < 6")
    assert client.state(lamp, version(5))["at"] is None
    for point in (version(3), Point("time", 10**15)):
        with pytest.raises(
            AdminRefused, match="begins with the change of version 6, of 20"
        ) as caught:
            client.state(lamp, point)
        assert caught.value.status == 410
        assert "store.history_changes" in caught.value.hint


def test_a_hole_in_the_history_is_told(held: Holder, client: AdminClient, lamp: TwinKey) -> None:
    """As where it was switched off: nothing below it is known."""
    held.store._connection.execute("DELETE FROM history_block WHERE version = 4")
    with pytest.raises(AdminRefused, match="has a hole below version 5, of 20") as caught:
        client.state(lamp, version(1))
    assert caught.value.status == 410
    assert client.state(lamp, version(5))["reported"] == {"on": True}


def test_the_past_of_a_deleted_twin_is_known(held: Holder, client: AdminClient) -> None:
    """What it is now is that it does not exist."""
    held.change(LAMP, report({"on": True}))
    held.change(LAMP, Deletion("app-1"))
    assert client.state(LAMP, version(1))["reported"] == {"on": True}
    with pytest.raises(AdminRefused, match="did not exist at version 2: it was deleted"):
        client.state(LAMP, version(2))


def test_a_long_history_is_read_in_pages(held: Holder, client: AdminClient) -> None:
    """Each is a turn of the store's thread of its own, so that commits come in between."""
    pages = []
    read = held.store.history

    def counted(key: TwinKey, below_version: int | None, limit: int) -> Any:
        rows = read(key, below_version, limit)
        pages.append(len(rows))
        return rows

    count = 3 * ROWS_PER_PAGE - 5
    for number in range(count):
        held.change(LAMP, report({"n": number}))
    held.store.history = counted  # type: ignore[method-assign]
    assert client.state(LAMP, version(1))["reported"] == {"n": 0}
    assert pages == [ROWS_PER_PAGE, ROWS_PER_PAGE, ROWS_PER_PAGE - 5]


def test_a_difference_is_told_both_ways(client: AdminClient, lamp: TwinKey) -> None:
    """And where the twin did not exist it was empty."""
    answer = client.diff(lamp, version(2), version(6))
    assert answer["reported"] == {
        "patch": {"on": False, "color": None},
        "previous": {"on": True, "color": {"r": 1}},
    }
    assert answer["desired"] == {"patch": {"level": None}, "previous": {"level": 1}}
    back: Any = client.diff(lamp, version(6), version(4))
    assert back["reported"] == {"patch": {"on": None}, "previous": {"on": False}}
    assert (back["from"]["version"], back["from"]["exists"]) == (6, True)
    assert (back["to"]["version"], back["to"]["exists"]) == (4, False)
    created: Any = client.diff(lamp, version(0), version(1))
    assert created["from"] == {"version": 0, "at": None, "exists": False}
    assert created["reported"]["patch"] == {"on": True, "color": {"r": 1}}


def test_a_difference_of_times(client: AdminClient, lamp: TwinKey) -> None:
    """From the first change to now."""
    rows: Any = client.history(lamp)["history"]
    answer: Any = client.diff(lamp, Point("time", rows[-1]["at"]), Point("time", now_us()))
    assert (answer["from"]["version"], answer["to"]["version"]) == (1, 6)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/v1/twins/lamp-1?at=x", 400, "`at`: 'x' is neither a version nor a time such as"),
        ("/v1/twins/lamp-1?at=2026-11-25T10:00", 400, "has no zone"),
        ("/v1/twins/lamp-1?at=", 400, "`at`: '' is neither"),
        ("/v1/twins/lamp-1/diff?from=1", 400, "`from` and `to` must be given"),
        ("/v1/twins/lamp-1/diff?from=1&to=-1", 400, "`to`: '-1' is neither"),
        ("/v1/twins/lamp-1/history?below_version=0", 400, "`below_version` must be an integer"),
        ("/v1/twins/nobody?at=1", 404, "there is no twin nobody"),
        ("/v1/twins/nobody/diff?from=1&to=2", 404, "there is no twin nobody"),
        ("/v1/twins/.x/history", 400, "'.x' is no device id"),
        ("/v1/twins/lamp-1/report/history", 400, "'report' is no name of a twin"),
    ],
)
def test_a_bad_question_is_a_problem(
    http: httpx.Client, lamp: TwinKey, path: str, status: int, detail: str
) -> None:
    """With what is wrong about it."""
    answer = http.get(path)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
