"""A real bridge in the test's own process, and clients that speak to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import orjson

from bridge.config import BrokerConfig, Config, StoreConfig
from bridge.service import Bridge
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import SEND_AT_ONCE

WAIT_S = 20.0
"""Far longer than anything takes, also on a machine that is busy with something else."""


def make_config(broker: Mosquitto, directory: Path, **sections: Any) -> Config:
    """The configuration of a bridge on this broker, with its store in this directory."""
    return Config(
        broker=BrokerConfig(url=f"mqtt://{broker.host}:{broker.port}"),
        store=sections.pop("store", StoreConfig(path=directory / "store.db")),
        **sections,
    )


@asynccontextmanager
async def running_bridge(config: Config) -> AsyncIterator[Bridge]:
    """A bridge that is connected."""
    async with Bridge(config) as bridge:
        async with asyncio.timeout(WAIT_S):
            await bridge.wait_until_connected()
        yield bridge


class Client:
    """A device, an application or an operator: publishes, and looks at what arrives."""

    def __init__(self, mqtt: aiomqtt.Client) -> None:
        self._mqtt = mqtt
        self._arrived: asyncio.Queue[aiomqtt.Message] = asyncio.Queue()

    async def collect(self) -> None:
        """Move what arrives into the queue; runs until cancelled."""
        async for message in self._mqtt.messages:
            self._arrived.put_nowait(message)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1."""
        await self._mqtt.subscribe(topic_filter, qos=1)

    async def publish(self, topic: str, payload: Any = b"", **options: Any) -> None:
        """Publish at QoS 1; an object as JSON, bytes as they are."""
        if not isinstance(payload, bytes | str):
            payload = orjson.dumps(payload)
        await self._mqtt.publish(topic, payload, qos=1, **options)

    async def next_message(self, topic: str | None = None) -> aiomqtt.Message:
        """Wait for the next message, on this topic if one is given; others are passed over."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self._arrived.get()
                if topic is None or message.topic.value == topic:
                    return message

    async def next(self, topic: str) -> Any:
        """Wait for the next message on a topic and return its JSON; None where it is empty."""
        payload = (await self.next_message(topic)).payload
        assert isinstance(payload, bytes)
        return orjson.loads(payload) if payload else None

    async def until_version(self, topic: str, version: int) -> Any:
        """Wait until a document of at least this version stands on a topic."""
        while True:
            document = await self.next(topic)
            if document is not None and document["version"] >= version:
                return document

    def has_arrived(self) -> list[str]:
        """The topics of what has arrived and was not looked at."""
        return [message.topic.value for message in self._arrived._queue]  # type: ignore[attr-defined]


@asynccontextmanager
async def connected_client(
    broker: Mosquitto, *filters: str, protocol: int = 5
) -> AsyncIterator[Client]:
    """A client that has subscribed."""
    version = aiomqtt.ProtocolVersion.V5 if protocol == 5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client(
        broker.host, broker.port, protocol=version, socket_options=SEND_AT_ONCE
    ) as mqtt:
        client = Client(mqtt)
        collecting = asyncio.create_task(client.collect())
        try:
            for topic_filter in filters:
                await client.subscribe(topic_filter)
            yield client
        finally:
            collecting.cancel()
            await asyncio.wait({collecting})


async def retained(broker: Mosquitto, *filters: str) -> dict[str, bytes]:
    """What is retained on these filters, as a new subscriber sees it.

    The end of the replay is known by a message of our own that the broker queues behind it.
    """
    fence = "test/fence"
    found: dict[str, bytes] = {}
    async with connected_client(broker, *filters, fence) as client:
        await client.publish(fence, b"end")
        while True:
            message = await client.next_message()
            if message.topic.value == fence:
                return found
            assert isinstance(message.payload, bytes)
            if message.retain:
                found[message.topic.value] = message.payload
