"""Permissions that change under open streams and tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.api.acting import Actor
from bridge.api.tokens import make_token, token_hash
from bridge.config import PermissionsConfig
from bridge.http.stream import CODE_RIGHTS_CHANGED
from bridge.service import Bridge
from bridge.store.tokens import StoredToken
from tests.http.served import http_config
from tests.http.test_push import address, receive, stream, until
from tests.support.bridge import connected_client, running_bridge
from tests.support.mosquitto import Mosquitto

WAIT_S = 60.0

RULES = """\
principals: [anna, bert]
rules:
  anna:
    "*":
      reported.**: read
      desired.**: read write
  bert:
    "*":
      reported.**: read
"""
ANNA_LESS = RULES.replace("reported.**: read\n      desired.**: read write", "reported.on: read")


@pytest.fixture
async def bridge(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Bridge]:
    """A bridge with permissions, in the test's own loop."""
    file = tmp_path / "permissions.yaml"
    file.write_text(RULES)
    config = http_config(mosquitto, tmp_path, permissions=PermissionsConfig(file=file))
    async with running_bridge(config) as running:
        yield running


async def bearer(bridge: Bridge, principal: str) -> dict[str, str]:
    """The header of a new token."""
    token_id, token = make_token()
    row = StoredToken(token_id, principal, token_hash(token), 0, None)
    assert await bridge.run_store(lambda store: store.add_token(row))
    return {"Authorization": f"Bearer {token}"}


async def reload(bridge: Bridge, text: str) -> None:
    """Put other permissions in force."""
    file = bridge.config.permissions.file
    assert file is not None
    file.write_text(text)
    await bridge.administrator.reload_permissions(Actor("socket", "operator"))


async def patch(bridge: Bridge, headers: Mapping[str, str]) -> int:
    """The status of a write."""
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{address(bridge)}/v1/twins/lamp-1/desired"
        return (await client.patch(url, json={"on": True}, headers=headers)).status_code


async def closed(socket: ClientConnection) -> tuple[list[Any], int, str]:
    """What comes until the end, its code and its reason."""
    messages = []
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                messages.append(json.loads(await socket.recv()))
    except ConnectionClosed as end:
        assert end.rcvd is not None
        return messages, end.rcvd.code, end.rcvd.reason


async def test_a_token_may_do_what_the_new_permissions_say(bridge: Bridge) -> None:
    """From the next request on."""
    anna = await bearer(bridge, "anna")
    assert await patch(bridge, anna) == 200
    await reload(bridge, ANNA_LESS)
    assert await patch(bridge, anna) == 403
    await reload(bridge, RULES)
    assert await patch(bridge, anna) == 200


async def test_a_stream_whose_reader_lost_rights_ends_with_the_reason(
    bridge: Bridge, mosquitto: Mosquitto
) -> None:
    """Nothing that it may not read any more is sent; others read on."""
    anna, bert = await bearer(bridge, "anna"), await bearer(bridge, "bert")
    async with (
        connected_client(mosquitto, "sync/lamp-1/reply/lamp-1") as device,
        stream(bridge, additional_headers=anna) as losing,
        stream(bridge, additional_headers=bert) as reading,
    ):
        await until(losing, "live")
        await until(reading, "live")
        await reload(bridge, ANNA_LESS)
        await device.publish("sync/lamp-1/report", {"secret": 1, "$": {"id": "r"}})
        await device.next("sync/lamp-1/reply/lamp-1")
        messages, code, reason = await closed(losing)
        assert (messages, code) == ([], CODE_RIGHTS_CHANGED)
        assert reason == "the permissions have changed: read anew"
        assert (await receive(reading))["reported"] == {"secret": 1}
        async with stream(bridge, additional_headers=anna) as again:
            present, _ = await until(again, "live")
            assert present["reported"] == {}


async def test_server_sent_events_end_alike(bridge: Bridge) -> None:
    """With an event that says why."""
    anna = await bearer(bridge, "anna")
    async with (
        httpx.AsyncClient(trust_env=False, timeout=WAIT_S) as client,
        client.stream("GET", f"http://{address(bridge)}/v1/events", headers=anna) as answer,
    ):
        lines = answer.aiter_lines()
        async for line in lines:
            if '"type":"live"' in line:
                break
        await reload(bridge, ANNA_LESS)
        rest = [line async for line in lines if line]
    assert rest == [
        "event: closed",
        'data: {"type":"closed","reason":"the permissions have changed: read anew"}',
    ]
