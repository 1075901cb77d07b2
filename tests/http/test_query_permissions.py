"""A query tells nothing of what may not be read."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.config import PermissionsConfig
from tests.http.served import Served, http_config, serving
from tests.http.test_tokens import bearer, make_token
from tests.support.mosquitto import Mosquitto

PERMISSIONS = """\
principals: [anna, bert, lamp-7]
rules:
  anna:
    "*":
      reported.**: read write
      desired.**: read write
  bert:
    lamp-*:
      reported.**: read
      reported.pin: deny read
      reported.wifi.password: deny read
    plug-*:
      reported.on: read
"""
TWINS = {
    "lamp-1": {"on": True, "pin": 1111, "wifi": {"password": "x"}},
    "lamp-2": {"on": False, "pin": 2222, "wifi": {"name": "home"}},
    "lamp-7": {"on": True, "pin": 7777},
    "plug-1": {"on": True, "level": 3},
    "safe-1": {"on": True, "level": 3},
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bridge with permissions and some twins."""
    directory: Path = tmp_path_factory.mktemp("guarded")
    file = directory / "permissions.yaml"
    file.write_text(PERMISSIONS)
    with Mosquitto(directory / "mosquitto") as broker:
        config = http_config(broker, directory, permissions=PermissionsConfig(file=file))
        with serving(config) as running:
            anna = bearer(make_token(running, "anna"))
            for device, reported in TWINS.items():
                path = f"/v1/twins/{device}/reported"
                assert running.ask("PUT", path, json=reported, headers=anna).status_code == 200
            yield running


@pytest.fixture(scope="module")
def tokens(guarded: Served) -> dict[str, dict[str, str]]:
    """Headers by principal."""
    return {name: bearer(make_token(guarded, name)) for name in ("anna", "bert", "lamp-7")}


def ask(
    served: Served, headers: dict[str, str], where: str, **parameters: Any
) -> requests.Response:
    """The answer to a query."""
    return served.ask("GET", "/v1/twins", params={"where": where, **parameters}, headers=headers)


def devices(answer: requests.Response) -> list[str]:
    """What was found."""
    assert answer.status_code == 200, answer.text
    return [twin["device"] for twin in answer.json()["twins"]]


def test_finds_only_what_may_be_read(guarded: Served, tokens: dict[str, dict[str, str]]) -> None:
    """And shows of it only what may be read."""
    assert devices(ask(guarded, tokens["anna"], "reported.on")) == [
        "lamp-1", "lamp-7", "plug-1", "safe-1",
    ]  # fmt: skip
    answer = ask(guarded, tokens["bert"], "reported.on")
    assert devices(answer) == ["lamp-1", "lamp-7", "plug-1"]
    assert answer.json()["twins"][0]["reported"] == {"on": True}


@pytest.mark.parametrize(
    "where",
    [
        "reported.pin = 1111",
        "reported.pin IS NULL",
        "NOT reported.pin > 2000",
        "reported.on OR reported.pin < 2000",
        "reported.pin.digits = 1",
        "reported.wifi.password LIKE 'x%'",
        "reported.wifi IS NOT NULL",
        "desired.mode = 'eco'",
    ],
)
def test_a_path_that_may_be_read_nowhere_is_refused(
    guarded: Served, tokens: dict[str, dict[str, str]], where: str
) -> None:
    """By its name, and the same whether it would find something or not."""
    for device in ("*", "lamp-1", "lamp-2", "lamp-none", "lamp-*"):
        answer = ask(guarded, tokens["bert"], where, device=device)
        assert answer.status_code == 403, answer.text
        problem = answer.json()
        assert problem["error"] == "forbidden"
        named = next(word for word in where.split() if word.startswith(("reported.", "desired.")))
        if named != "reported.on":
            assert f"read {named}:" in problem["detail"]


def test_a_twin_whose_part_may_not_be_read_is_not_found(
    guarded: Served, tokens: dict[str, dict[str, str]]
) -> None:
    """Where others may be: whatever it holds."""
    for where in ("reported.level = 3", "reported.level IS NULL", "NOT reported.level = 9"):
        assert "plug-1" not in devices(ask(guarded, tokens["bert"], where))
    assert devices(ask(guarded, tokens["bert"], "reported.level IS NULL")) == [
        "lamp-1", "lamp-2", "lamp-7",
    ]  # fmt: skip


def test_pages_do_not_tell_of_what_is_hidden(
    guarded: Served, tokens: dict[str, dict[str, str]]
) -> None:
    """A page is as full, and goes on as far, as if there were no other twins."""
    first = ask(guarded, tokens["bert"], "reported.on", limit=2)
    assert devices(first) == ["lamp-1", "lamp-7"]
    rest = ask(guarded, tokens["bert"], "reported.on", limit=2, cursor=first.json()["next"])
    assert (devices(rest), rest.json()["next"]) == (["plug-1"], None)
    for level in (3, 4):
        answer = ask(guarded, tokens["bert"], f"device = 'safe-1' AND version > {level - 3}")
        assert answer.json() == {"twins": [], "next": None}


def test_no_cursor_names_what_is_hidden(guarded: Served, tokens: dict[str, dict[str, str]]) -> None:
    """Page by page everything else is listed, and what stands for a place is not to be read."""
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        params = {"limit": "1", **cursor}
        page = guarded.ask("GET", "/v1/twins", params=params, headers=tokens["bert"]).json()
        listed += [twin["device"] for twin in page["twins"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
        decoded = base64.urlsafe_b64decode(page["next"] + "==")
        assert not any(name in decoded for name in (b"lamp", b"safe", b"plug"))
    whole = guarded.ask("GET", "/v1/twins", headers=tokens["bert"]).json()["twins"]
    assert listed == [twin["device"] for twin in whole]
    assert "safe-1" not in listed


def test_a_device_asks_about_itself(guarded: Served, tokens: dict[str, dict[str, str]]) -> None:
    """What is its own it may read; of others it finds nothing."""
    own = ask(guarded, tokens["lamp-7"], "reported.pin > 0", device="lamp-7")
    assert devices(own) == ["lamp-7"]
    assert ask(guarded, tokens["lamp-7"], "reported.pin > 0").status_code == 403
    assert devices(ask(guarded, tokens["lamp-7"], "version > 0")) == ["lamp-7"]
