"""Principals for the broker's lists, what each of them may, and clients that try more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

import aiomqtt

from tests.support.bridge import Client
from tests.support.sockets import SEND_AT_ONCE


class Listening(Protocol):
    """A broker, of whatever kind."""

    host: str
    port: int


FILE = """\
principals: [anna, bert, viewer, lamp-2]
groups:
  operators: [anna]
rules:
  operators:
    "*":
      reported.**: read write
      desired.**: read write
  anna:
    lamp-2:
      desired.secret: deny read write
  bert:
    lamp-1:
      desired.on: read write
  viewer:
    "*":
      desired.**: read
      reported.**: read
  lamp-2:
    lamp-1:
      desired.on: write
"""

PASSWORD = "a password for tests"  # noqa: S105
BRIDGE = "syncbridge"
SENDERS = ("anna", "bert", "viewer", "lamp-1", "lamp-2", "mallory")
DEVICES = ("lamp-1", "lamp-2")

FENCE = "test/fence"


@asynccontextmanager
async def logged_in(
    broker: Listening,
    user: str,
    *filters: str,
    protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5,
) -> AsyncIterator[Client]:
    """A client with a login, which has subscribed."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        username=user,
        password=PASSWORD,
        protocol=protocol,
        socket_options=SEND_AT_ONCE,
    ) as mqtt:
        client = Client(mqtt)
        collecting = asyncio.create_task(client.collect())
        try:
            for topic_filter in (*filters, f"{FENCE}/{user}"):
                await client.subscribe(topic_filter)
            yield client
        finally:
            collecting.cancel()
            await asyncio.wait({collecting})


async def arrived(client: Client, user: str) -> set[str]:
    """The topics of what has arrived, up to a message of the client's own."""
    fence = f"{FENCE}/{user}"
    await client.publish(fence, b"end")
    topics: set[str] = set()
    while True:
        message = await client.next_message()
        if message.topic.value == fence:
            return topics
        topics.add(message.topic.value)


def every_topic() -> list[str]:
    """Every topic that somebody might try, of both devices."""
    topics = ["sync/$bridge/status", "sync/$bridge/doctor", "other/topic"]
    # Every login may be a device, of its own name.
    topics.append("sync/mallory/report")
    for device in DEVICES:
        for twin in (f"sync/{device}", f"sync/{device}/setup"):
            topics += [f"{twin}/{verb}" for verb in ("report", "state", "delta", "event", "resync")]
            for verb in ("desire", "get", "delete", "reply"):
                topics += [f"{twin}/{verb}/{name}" for name in SENDERS]
        topics += [f"sync/{device}/{verb}" for verb in ("presence", "enrol", "key")]
    return topics


def twin_topics(devices: Iterable[str], *ends: str) -> set[str]:
    """The topics of the unnamed twins and of those named setup."""
    twins = [f"sync/{device}{name}" for device in devices for name in ("", "/setup")]
    return {f"{twin}/{end}" for twin in twins for end in ends}


def own_topics(device: str) -> set[str]:
    """Where a device publishes."""
    own = {f"sync/{device}/{verb}" for verb in ("presence", "enrol")}
    return twin_topics([device], "report", f"get/{device}") | own


WRITES = {
    "anna": twin_topics(DEVICES, "desire/anna", "get/anna", "delete/anna"),
    "bert": twin_topics(["lamp-1"], "desire/bert", "get/bert"),
    "viewer": twin_topics(DEVICES, "get/viewer"),
    "lamp-1": own_topics("lamp-1"),
    "lamp-2": own_topics("lamp-2") | twin_topics(["lamp-1"], "desire/lamp-2"),
    "mallory": {"sync/mallory/report"},
}

READS = {
    # One path of lamp-2 is hidden from anna: its state is closed to her, and lamp-1's is not.
    "anna": twin_topics(["lamp-1"], "state", "delta", "event")
    | twin_topics(DEVICES, "reply/anna")
    | {"sync/$bridge/status"},
    "bert": twin_topics(["lamp-1"], "reply/bert") | {"sync/$bridge/status"},
    "viewer": twin_topics(DEVICES, "state", "delta", "event", "reply/viewer")
    | {"sync/$bridge/status"},
    "lamp-1": twin_topics(["lamp-1"], "state", "delta", "resync", "reply/lamp-1")
    | {"sync/lamp-1/key"},
    "lamp-2": twin_topics(["lamp-2"], "state", "delta", "resync")
    | twin_topics(DEVICES, "reply/lamp-2")
    | {"sync/$bridge/status", "sync/lamp-2/key"},
    "mallory": set[str](),
}


async def vanish(broker: Listening, user: str, topic: str) -> None:
    """Connect with a last will, and end without a DISCONNECT, so that the will is due."""
    will = aiomqtt.Will(topic, b"offline", qos=1, retain=True)
    with contextlib.suppress(aiomqtt.MqttError):
        async with aiomqtt.Client(
            broker.host, broker.port, username=user, password=PASSWORD, will=will
        ) as client:
            client._client._sock_close()
