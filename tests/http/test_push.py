"""Changes as they happen: the WebSocket and Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bridge.http.stream import CODE_TOO_SLOW
from bridge.service import Bridge
from tests.http.served import http_config
from tests.support.bridge import WAIT_S, connected_client, running_bridge
from tests.support.mosquitto import Mosquitto


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge with HTTP in the test's own loop."""
    async with running_bridge(http_config(mosquitto, tmp_path)) as running:
        yield running


def address(bridge: Bridge) -> str:
    """Host and port of the API."""
    assert bridge.http_address is not None
    return f"127.0.0.1:{bridge.http_address[1]}"


@asynccontextmanager
async def stream(
    bridge: Bridge, query: str = "", **options: Any
) -> AsyncIterator[ClientConnection]:
    """A WebSocket."""
    url = f"ws://{address(bridge)}/v1/stream{query}"
    async with connect(url, proxy=None, **options) as socket:
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    async with asyncio.timeout(WAIT_S):
        message: dict[str, Any] = json.loads(await socket.recv())
        return message


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All messages up to the first of a kind, which is the last of them."""
    messages = [await receive(socket)]
    while messages[-1]["type"] != kind:
        messages.append(await receive(socket))
    return messages


async def write(bridge: Bridge, device: str, value: object) -> None:
    """Change a twin over HTTP."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{address(bridge)}/v1/twins/{device}/desired"
        answer = await client.patch(url, json={"v": value})
        assert answer.status_code == 200, answer.text


async def test_first_the_present_comes_and_then_every_change(
    bridge: Bridge, mosquitto: Mosquitto
) -> None:
    """Whatever made it: MQTT too."""
    await write(bridge, "lamp-1", 0)
    await write(bridge, "plug-1", 0)
    async with stream(bridge, "?device=lamp-*") as socket:
        present, live = await until(socket, "live")
        assert (present["type"], present["device"]) == ("present", "lamp-1")
        assert live["stamp"]
        async with connected_client(mosquitto) as mqtt:
            await mqtt.publish("sync/lamp-2/report", {"on": True})
        change = await receive(socket)
        assert (change["type"], change["device"]) == ("change", "lamp-2")
        assert change["reported"] == {"on": True}
        await write(bridge, "plug-1", 1)
        await write(bridge, "lamp-1", 1)
        assert (await receive(socket))["desired"] == {"v": 1}


async def test_a_reader_that_comes_back_misses_nothing_and_sees_nothing_twice(
    bridge: Bridge,
) -> None:
    """From the stamp of the last change that it saw."""
    await write(bridge, "lamp-1", 0)
    async with stream(bridge) as socket:
        stamp = (await until(socket, "live"))[-1]["stamp"]
        for value in range(1, 4):
            await write(bridge, "lamp-1", value)
        first = await receive(socket)
        assert first["desired"] == {"v": 1}
        stamp = first["stamp"]
    await write(bridge, "lamp-1", 4)
    async with stream(bridge, f"?after={stamp}") as socket:
        *missed, _ = await until(socket, "live")
        assert [change["desired"]["v"] for change in missed] == [2, 3, 4]
        await write(bridge, "lamp-1", 5)
        assert (await receive(socket))["desired"] == {"v": 5}


async def test_a_stamp_that_is_not_known_begins_anew(bridge: Bridge) -> None:
    """As after a restart of the bridge: the reader is told, and gets the present."""
    await write(bridge, "lamp-1", 7)
    for stamp in ("000000000000-3", "x", "-", "9" * 60):
        async with stream(bridge, f"?after={stamp}") as socket:
            reset, present, _ = await until(socket, "live")
            assert reset == {"type": "reset"}
            assert present["desired"] == {"v": 7}


async def test_nothing_is_lost_between_the_present_and_the_changes(bridge: Bridge) -> None:
    """Readers that come while a twin changes see each version once, in order, without a hole."""
    stopping = asyncio.Event()

    async def keep_writing() -> int:
        value = 0
        while not stopping.is_set():
            value += 1
            await write(bridge, "busy", value)
        return value

    await write(bridge, "busy", 0)
    writing = asyncio.create_task(keep_writing())
    try:
        for _ in range(10):
            async with stream(bridge, "?device=*") as socket:
                versions: list[int] = []
                while len(versions) < 6:
                    message = await receive(socket)
                    if message["type"] in ("present", "change"):
                        versions.append(message["version"])
                assert versions == list(range(versions[0], versions[0] + 6))
    finally:
        stopping.set()
        await writing


async def test_writes_are_answered_once_they_are_on_the_disk(bridge: Bridge) -> None:
    """With their id; also refusals, and what is no request."""
    async with stream(bridge, "?device=none") as socket:
        await until(socket, "live")
        await socket.send(json.dumps({"id": 1, "device": "lamp-1", "patch": {"on": True}}))
        reply = await receive(socket)
        assert (reply["id"], reply["ok"], reply["version"]) == (1, True, 1)
        stale = {"id": 2, "device": "lamp-1", "put": {}, "if": 0}
        await socket.send(json.dumps(stale))
        assert (await receive(socket))["code"] == 412
        for odd in ("", "[", "[]", "{}", '{"device":"../x"}', '{"device":"a","fly":1}', b"\xff"):
            await socket.send(odd)
            refused = await receive(socket)
            assert (refused["ok"], refused["code"]) == (False, 400)
        await socket.send(json.dumps({"id": 3, "device": "lamp-1", "delete": True}))
        assert (await receive(socket))["ok"]


async def test_a_selection_is_told_only_when_it_changes(bridge: Bridge) -> None:
    """The rest of the twin changes without a word."""
    async with stream(bridge, "?device=lamp-1&select=desired.v") as socket:
        await until(socket, "live")
        await socket.send(json.dumps({"id": 1, "device": "lamp-1", "patch": {"v": 1}}))
        kinds = {(await receive(socket))["type"] for _ in range(2)}
        assert kinds == {"change", "reply"}
        await socket.send(json.dumps({"id": 2, "device": "lamp-1", "patch": {"other": 1}}))
        assert (await receive(socket))["type"] == "reply"
        await write(bridge, "lamp-1", 2)
        assert (await receive(socket))["desired"] == {"v": 2}


async def test_a_reader_that_does_not_read_is_closed_with_a_reason(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Others go on; the bridge keeps no more for it than the limit."""
    config = http_config(mosquitto, tmp_path, http={"stream_events": 5})
    async with running_bridge(config) as bridge:
        async with stream(bridge, max_queue=1, compression=None) as lazy:
            await until(lazy, "live")
            text = "x" * 60_000
            async with httpx.AsyncClient(trust_env=False) as client:
                for number in range(120):
                    url = f"http://{address(bridge)}/v1/twins/lamp-1/desired"
                    await client.patch(url, json={"v": f"{number}{text}"})
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(WAIT_S):
                    while True:
                        await lazy.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == CODE_TOO_SLOW
            assert "too slow" in closed.value.rcvd.reason
        async with stream(bridge) as diligent:
            assert (await until(diligent, "live"))[0]["type"] == "present"


async def test_a_page_of_another_origin_opens_no_stream(bridge: Bridge) -> None:
    """Browsers say where the page is from."""
    with pytest.raises(InvalidStatus) as refused:
        async with stream(bridge, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_server_sent_events_go_on_behind_the_last_id(bridge: Bridge) -> None:
    """As browsers and curl read them."""
    await write(bridge, "lamp-1", 0)
    url = f"http://{address(bridge)}/v1/events"

    async def read(count: int, headers: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        stamp = ""
        async with (
            asyncio.timeout(WAIT_S),
            httpx.AsyncClient(trust_env=False) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                name, _, rest = line.partition(": ")
                if name == "id":
                    stamp = rest
                elif name == "data":
                    found.append((stamp, json.loads(rest)))
                    if len(found) == count:
                        break
        return found

    present, live = await read(2, {})
    assert (present[1]["type"], live[1]["type"]) == ("present", "live")
    await write(bridge, "lamp-1", 1)
    await write(bridge, "lamp-1", 2)
    missed = await read(2, {"Last-Event-ID": live[0]})
    assert [message["desired"]["v"] for _, message in missed] == [1, 2]
    (rest,) = await read(1, {"Last-Event-ID": missed[0][0]})
    assert rest[1]["desired"] == {"v": 2}
