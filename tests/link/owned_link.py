"""A link as its owner sees it, for tests: what it is told can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

import aiomqtt

from bridge.errors import LinkError
from bridge.link.base import Link, LinkSettings, Message, Publication, Session
from tests.support.mosquitto import Mosquitto

WAIT_S = 30.0
"""How long a test waits for something that must happen: for a machine that is very busy."""

SETTLE_S = 0.3
"""How long a test waits for something that must not happen."""

_Value = TypeVar("_Value")


class MakeLink(Protocol):
    """Makes links of one implementation."""

    __name__: str

    def __call__(self, settings: LinkSettings, /) -> Link:
        """Make one."""


async def within(awaitable: Awaitable[_Value], wait_s: float = WAIT_S) -> _Value:
    """Await, but not for ever."""
    async with asyncio.timeout(wait_s):
        return await awaitable


class OwnedLink:
    """A link and what it told its listener; it is the listener."""

    def __init__(self, make: MakeLink, settings: LinkSettings) -> None:
        self.settings = settings
        self.link = make(settings)
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        self.errors: asyncio.Queue[LinkError] = asyncio.Queue()

    def connected(self, session: Session) -> None:
        """Keep what the link tells."""
        self.sessions.put_nowait(session)

    def disconnected(self, error: LinkError) -> None:
        """Keep what the link tells."""
        self.errors.put_nowait(error)

    async def start(self) -> Session:
        """Start the link and return its first session."""
        await self.link.start(self)
        return await self.next_session()

    async def next_session(self) -> Session:
        """Return the next session that the link has told, or will tell."""
        return await within(self.sessions.get())

    async def next_error(self) -> LinkError:
        """Return the next trouble that the link has told, or will tell."""
        return await within(self.errors.get())

    async def take(self, count: int) -> list[Message]:
        """Return exactly the next `count` messages, and fail if they do not come."""
        taken: list[Message] = []
        while len(taken) < count:
            taken += await within(self.link.receive(count - len(taken), 1 << 30))
        return taken

    async def expect_none(self) -> None:
        """Fail if a message comes within a moment."""
        try:
            extra = await within(self.link.receive(1, 1 << 30), SETTLE_S)
        except TimeoutError:
            return
        raise AssertionError(f"not expected: {extra}")

    async def publish(self, topic: str, payload: bytes = b"x", *, retain: bool = False) -> None:
        """Publish and wait for the PUBACK."""
        await within(self.link.publish(Publication(topic, payload, retain)))

    async def fence(self) -> None:
        """Wait until the broker has handled what was sent before, acknowledgements too.

        And until what the broker had sent before is here: each way keeps its order.
        """
        await self.publish("fence")


def texts(messages: Sequence[Message]) -> list[str]:
    """Return the payloads as text."""
    return [message.payload.decode() for message in messages]


async def send(broker: Mosquitto, *payloads: str, topic: str = "in/a", qos: int = 1) -> None:
    """Publish from a client that connects for it; returns when the broker has them all."""
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for payload in payloads:
            await client.publish(topic, payload, qos=qos)
        # Of QoS 1, so that those before it have been handled too.
        await client.publish("fence", b"", qos=1)
