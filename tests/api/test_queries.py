"""Queries over the socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bridge.api import AdminClient
from bridge.api.socket_file import socket_path
from bridge.core.topics import TwinKey
from bridge.errors import AdminRefused
from tests.api.held import Holder
from tests.api.orders import report, update


@pytest.fixture(autouse=True)
def fleet(held: Holder) -> None:
    """Three twins, one of them named."""
    held.change(TwinKey("a", ""), report({"battery": 10}))
    held.change(TwinKey("a", "x"), report({"battery": 90}))
    held.change(TwinKey("b", ""), report({"battery": 15}))
    held.change(TwinKey("b", ""), update({"mode": "eco"}))


@pytest.fixture
def http(held: Holder) -> Iterator[httpx.Client]:
    """A client that asks whatever it likes."""
    transport = httpx.HTTPTransport(uds=str(socket_path(held.store.path)))
    with httpx.Client(transport=transport, base_url="http://bridge") as client:
        yield client


def test_finds_twins_with_their_states(client: AdminClient) -> None:
    """Ordered by device and name."""
    answer: Any = client.query("reported.battery < 20")
    assert [(row["device"], row["name"]) for row in answer["twins"]] == [("a", ""), ("b", "")]
    assert answer["twins"][1]["desired"] == {"mode": "eco"}
    assert answer["after"] is None


def test_goes_on_page_by_page(client: AdminClient) -> None:
    """Behind the last key of the page before, a named twin too."""
    first: Any = client.query("version > 0", limit=2)
    assert first["after"] == "a/x"
    second: Any = client.query("version > 0", limit=2, after=TwinKey("a", "x"))
    assert [row["device"] for row in second["twins"]] == ["b"]
    assert second["after"] is None


def test_selects_fields(http: httpx.Client) -> None:
    """Without a condition all twins are found."""
    answer = http.get("/v1/twins", params={"select": "reported.battery, desired.mode"}).json()
    assert answer["twins"][2] == {
        "device": "b",
        "name": "",
        "selected": {"reported.battery": 15, "desired.mode": "eco"},
    }
    assert answer["twins"][0]["selected"]["desired.mode"] is None


@pytest.mark.parametrize(
    "parameters",
    [
        {"where": "1; DROP TABLE twin"},
        {"where": ""},
        {"where": "(" * 9000},
        {"select": "version = 1"},
        {"select": ",".join(["version"] * 33)},
        {"limit": "201"},
        {"after": "a/b/c"},
    ],
)
def test_refuses_what_is_wrong(http: httpx.Client, parameters: dict[str, str]) -> None:
    """As a problem of the request, and the bridge goes on."""
    response = http.get("/v1/twins", params=parameters)
    assert response.status_code == 400
    assert response.json()["detail"]
    assert len(http.get("/v1/twins").json()["twins"]) == 3


def test_client_tells_where_the_mistake_is(client: AdminClient) -> None:
    """With the hint of what is allowed."""
    with pytest.raises(AdminRefused, match=r"at character 1.*allowed are"):
        client.query("battery < 20")
