"""Queries that are followed: what enters, what changes, and what leaves."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.api import AdminClient
from bridge.config import PermissionsConfig
from bridge.http import live_query
from bridge.http.stream import CODE_BAD_REQUEST, CODE_FORBIDDEN, CODE_TRY_AGAIN
from bridge.service import Bridge
from tests.http.served import http_config
from tests.http.test_push import address, receive, stream, until
from tests.support.bridge import WAIT_S, running_bridge
from tests.support.mosquitto import Mosquitto

LOW = "reported.battery < 20"

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing is encrypted here: a client need not read all authorities each time."""


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge with HTTP in the test's own loop."""
    async with running_bridge(http_config(mosquitto, tmp_path)) as running:
        yield running


def asking(where: str, **more: str) -> str:
    """The query of a URL."""
    return "?" + urlencode({"where": where, **more})


async def report(bridge: Bridge, device: str, **fields: object) -> None:
    """Change a twin; with no fields, delete it."""
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        url = f"http://{address(bridge)}/v1/twins/{device}"
        if fields:
            answer = await client.patch(f"{url}/reported", json=fields)
        else:
            answer = await client.delete(url)
        assert answer.status_code == 200, answer.text


async def told(socket: ClientConnection) -> tuple[str, str]:
    """Kind and device of the next message."""
    message = await receive(socket)
    return message["type"], message["device"]


async def test_tells_what_enters_changes_and_leaves(bridge: Bridge) -> None:
    """First what matches at present; nothing of what neither does nor did."""
    await report(bridge, "a", battery=10)
    await report(bridge, "b", battery=50)
    async with stream(bridge, asking(LOW)) as socket:
        present, _ = await until(socket, "live")
        assert (present["type"], present["device"]) == ("present", "a")
        await report(bridge, "b", battery=40)
        await report(bridge, "b", battery=15)
        entered = await receive(socket)
        assert (entered["type"], entered["device"]) == ("enter", "b")
        assert entered["reported"] == {"battery": 15}
        await report(bridge, "a", battery=9)
        assert await told(socket) == ("change", "a")
        await report(bridge, "a", battery=90)
        left = await receive(socket)
        assert left.keys() == {"type", "stamp", "device", "name", "version"}
        assert (left["type"], left["device"], left["version"]) == ("leave", "a", 3)
        await report(bridge, "a")
        await report(bridge, "b")
        assert await told(socket) == ("deleted", "b")
        await report(bridge, "b", battery=1)
        assert await told(socket) == ("enter", "b")


async def test_a_part_is_told_when_a_twin_enters_again(bridge: Bridge) -> None:
    """Even where the part is the same; while the twin stays, only where the part changes."""
    await report(bridge, "a", battery=10, room="hall")
    query = asking(LOW, select="reported.room", device="a*")
    async with stream(bridge, query) as socket:
        (present, _) = await until(socket, "live")
        assert present["reported"] == {"room": "hall"}
        await report(bridge, "a", battery=11)
        await report(bridge, "a", battery=30)
        assert await told(socket) == ("leave", "a")
        await report(bridge, "b", battery=1)
        await report(bridge, "a", battery=12)
        again = await receive(socket)
        assert (again["type"], again["reported"]) == ("enter", {"room": "hall"})


async def test_a_reader_that_comes_back_is_told_what_left_meanwhile(bridge: Bridge) -> None:
    """A twin that came and went is told as leaving too: what the reader has is not known."""
    for device in ("a", "b", "c"):
        await report(bridge, device, battery=10)
    async with stream(bridge, asking(LOW)) as socket:
        stamp = (await until(socket, "live"))[-1]["stamp"]
    await report(bridge, "a", battery=90)
    await report(bridge, "b", battery=11)
    await report(bridge, "c")
    await report(bridge, "d", battery=12)
    await report(bridge, "e", battery=80)
    async with stream(bridge, asking(LOW, after=stamp)) as socket:
        *missed, _ = await until(socket, "live")
        assert [(m["type"], m["device"]) for m in missed] == [
            ("leave", "a"), ("enter", "b"), ("deleted", "c"), ("enter", "d"), ("leave", "e"),
        ]  # fmt: skip
        await report(bridge, "b", battery=12)
        assert await told(socket) == ("change", "b")
        await report(bridge, "e", battery=81)
        await report(bridge, "e", battery=7)
        assert await told(socket) == ("enter", "e")


def apply(held: dict[str, Any], message: dict[str, Any]) -> None:
    """Do to what a reader holds what a message says."""
    if message["type"] in ("present", "enter", "change"):
        held[message["device"]] = message["reported"]
    elif message["type"] in ("leave", "deleted"):
        held.pop(message["device"], None)
    elif message["type"] == "reset":
        held.clear()


@pytest.mark.parametrize("remembered", [2, 10_000])
async def test_a_reader_that_comes_and_goes_has_what_a_query_finds(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    """However often it is away, and where more twins are found than are remembered."""
    monkeypatch.setattr(live_query, "MEMBERS_REMEMBERED", remembered)
    chance = random.Random(7)
    held: dict[str, Any] = {}
    after: dict[str, str] = {}

    async def change() -> None:
        device = chance.choice("abcdef")
        fields = {"battery": chance.randrange(40)} if chance.random() < 0.85 else {}
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
            url = f"http://{address(bridge)}/v1/twins/{device}"
            await (client.patch(f"{url}/reported", json=fields) if fields else client.delete(url))

    for number in range(8):
        for _ in range(4):
            await change()
        if number % 2 == 0:
            held, after = {}, {}
        async with stream(bridge, asking(LOW, **after)) as socket:
            for message in await until(socket, "live"):
                apply(held, message)
                after = {"after": message["stamp"]} if "stamp" in message else after
            for _ in range(10):
                await change()
            await report(bridge, "end", battery=1)
            await report(bridge, "end", battery=chance.randrange(100, 10_000))
            while True:
                message = await receive(socket)
                apply(held, message)
                after = {"after": message["stamp"]}
                if (message["type"], message["device"]) == ("leave", "end"):
                    break
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
            url = f"http://{address(bridge)}/v1/twins{asking(LOW)}"
            found = (await client.get(url)).json()["twins"]
        assert held == {twin["device"]: twin["reported"] for twin in found}


async def test_server_sent_events_follow_a_query(bridge: Bridge) -> None:
    """With the same messages; what is no query is refused before anything is told."""
    await report(bridge, "a", battery=10)
    await report(bridge, "b", battery=50)
    url = f"http://{address(bridge)}/v1/events"
    async with asyncio.timeout(WAIT_S), httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        async with client.stream("GET", url, params={"where": LOW}) as answer:
            kinds = []
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    message = json.loads(line.removeprefix("data: "))
                    kinds.append((message["type"], message.get("device")))
                    if message["type"] == "live":
                        await report(bridge, "b", battery=1)
                    if message["type"] == "enter":
                        break
        assert kinds == [("present", "a"), ("live", None), ("enter", "b")]
        refused = await client.get(url, params={"where": "online AND"})
        assert (refused.status_code, refused.json()["position"]) == (400, 10)


async def closed(bridge: Bridge, query: str, **options: Any) -> tuple[int, str]:
    """Code and reason with which a stream is closed."""
    async with stream(bridge, query, **options) as socket:
        with pytest.raises(ConnectionClosed) as end:
            async with asyncio.timeout(WAIT_S):
                await socket.recv()
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


@pytest.mark.parametrize(
    "where", ["", "online AND", "online AND " * 200 + "online", "('" + "\u00e9" * 200 + "' = 1"]
)
async def test_what_is_no_query_closes_the_stream_with_a_reason(bridge: Bridge, where: str) -> None:
    """As far as a reason may be long."""
    code, reason = await closed(bridge, asking(where))
    assert code == CODE_BAD_REQUEST
    assert reason.startswith(("the query", "a ", "this", "`"))


async def test_a_parameter_that_there_is_not_closes_the_stream_with_a_reason(
    bridge: Bridge,
) -> None:
    """As it is refused over HTTP."""
    code, reason = await closed(bridge, asking("online") + "&form=1")
    assert code == CODE_BAD_REQUEST
    assert reason == "`form` is no parameter here: there are after, device, select, where"


async def test_only_so_many_follow_queries(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Others are told to come again, and may once somebody has gone."""
    config = http_config(mosquitto, tmp_path, http={"stream_queries": 1})
    async with running_bridge(config) as bridge:
        async with stream(bridge, asking(LOW)) as first, stream(bridge) as other:
            await until(first, "live")
            await until(other, "live")
            code, reason = await closed(bridge, asking(LOW))
            assert (code, "1 queries" in reason) == (CODE_TRY_AGAIN, True)
            async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
                url = f"http://{address(bridge)}/v1/events{asking(LOW)}"
                refused = await client.get(url)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        async with asyncio.timeout(WAIT_S):
            while True:
                async with stream(bridge, asking(LOW)) as socket:
                    try:
                        await until(socket, "live")
                        break
                    except ConnectionClosed:
                        continue


PERMISSIONS = """\
principals: [anna, bert]
rules:
  anna:
    "*":
      reported.**: read write
      desired.**: read write
  bert:
    lamp-*:
      reported.battery: read
"""


async def test_a_stream_tells_nothing_of_what_may_not_be_read(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Neither of other twins, nor by what they match; a path that may not be read is refused."""
    file = tmp_path / "permissions.yaml"
    file.write_text(PERMISSIONS)
    config = http_config(mosquitto, tmp_path, permissions=PermissionsConfig(file=file))
    async with running_bridge(config) as bridge:
        tokens = {name: await make_token(bridge, name) for name in ("anna", "bert")}
        bert = {"additional_headers": tokens["bert"]}
        code, reason = await closed(bridge, asking("reported.pin = 1"), **bert)
        assert code == CODE_FORBIDDEN
        assert "reported.pin" in reason
        async with (
            stream(bridge, asking(LOW), **bert) as socket,
            httpx.AsyncClient(trust_env=False, verify=NO_TLS, headers=tokens["anna"]) as client,
        ):
            await until(socket, "live")
            for device in ("safe-1", "lamp-1", "safe-1", "lamp-2"):
                url = f"http://{address(bridge)}/v1/twins/{device}/reported"
                assert (await client.patch(url, json={"battery": 5, "pin": 1})).is_success
            first, second = await receive(socket), await receive(socket)
            assert [first["device"], second["device"]] == ["lamp-1", "lamp-2"]
            assert first["reported"] == {"battery": 5}


async def make_token(bridge: Bridge, principal: str) -> dict[str, str]:
    """The header with a new token."""

    def create() -> object:
        with AdminClient(bridge.config.store.path) as client:
            return client.create_token(principal, None)["token"]

    return {"Authorization": f"Bearer {await asyncio.to_thread(create)}"}
