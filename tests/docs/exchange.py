"""Exchanges: examples in a document that a test can replay, byte for byte.

A block of kind `exchange` has one message a line:

    > topic [flags] payload      sent to the broker
    < topic [flags] payload      published by the bridge in answer to the line above

Flags are `retained` and `correlation=HEX`, and may be left out. The payload is its text;
`(empty)` is no byte; `hex` begins bytes in hexadecimal. An ellipsis stands for a time, which is
what varies: digits in a text, eight bytes in `hex`. Lines with # are for the reader.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.docs.markdown import Block
from tests.support.bridge import WAIT_S
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import SEND_AT_ONCE

ELLIPSIS = "…"
EMPTY = "(empty)"

_LINE = re.compile(r"([<>]) (\S+)(?: \[([^\]]*)\])? (.*)")
_TIME_TEXT = rb"[0-9]{16}"
_TIME_BYTES = rb"[\x00-\xff]{8}"

# A device of the test's own: its reply is the last thing that the bridge publishes before the
# next line, so that nothing unexpected is overlooked.
_FENCE_TOPIC = "sync/test-fence/get/fence"
_FENCE_REPLY = "sync/test-fence/reply/fence"


class Line(NamedTuple):
    """One message of an exchange."""

    direction: str
    topic: str
    retained: bool
    correlation: bytes | None
    payload: str

    def expression(self) -> re.Pattern[bytes]:
        """Return what matches the payload, times left open."""
        if self.payload == EMPTY:
            return re.compile(rb"\Z")
        if self.payload.startswith("hex "):
            parts = [re.escape(bytes.fromhex(p)) for p in self.payload[4:].split(ELLIPSIS)]
            return re.compile(_TIME_BYTES.join(parts) + rb"\Z", re.DOTALL)
        parts = [re.escape(part.encode()) for part in self.payload.split(ELLIPSIS)]
        return re.compile(_TIME_TEXT.join(parts) + rb"\Z")

    def content(self) -> bytes:
        """Return the payload of a line that is sent."""
        if self.payload == EMPTY:
            return b""
        if self.payload.startswith("hex "):
            return bytes.fromhex(self.payload[4:])
        return self.payload.encode()


class Step(NamedTuple):
    """A message that is sent, and all that the bridge publishes for it."""

    sent: Line
    expected: list[Line]


def parse(block: Block) -> list[Step]:
    """Return the steps of a block.

    Raises:
        ValueError: A line is none of an exchange.
    """
    steps: list[Step] = []
    for text in block.text.splitlines():
        if not text.strip() or text.startswith("#"):
            continue
        line = _line(text, block)
        if line.direction == ">":
            steps.append(Step(line, []))
        else:
            steps[-1].expected.append(line)
    return steps


def _line(text: str, block: Block) -> Line:
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"below {block.heading!r}, line {block.line}: no message: {text!r}")
    direction, topic, flags, payload = found.groups()
    retained, correlation = False, None
    for flag in (flags or "").split():
        name, _, value = flag.partition("=")
        if name == "correlation":
            correlation = bytes.fromhex(value)
        elif flag == "retained":
            retained = True
        else:
            raise ValueError(f"below {block.heading!r}: unknown flag {flag!r}")
    return Line(direction, topic, retained, correlation, payload)


class Seen(NamedTuple):
    """A message that the bridge has published."""

    topic: str
    retained: bool
    correlation: bytes | None
    content_type: str | None
    payload: bytes

    def matches(self, line: Line) -> bool:
        """Tell whether it is what a line says."""
        return (self.topic, self.retained, self.correlation) == (
            line.topic,
            line.retained,
            line.correlation,
        ) and line.expression().match(self.payload) is not None

    def __str__(self) -> str:
        flags = ["retained"] * self.retained
        if self.correlation is not None:
            flags.append(f"correlation={self.correlation.hex()}")
        shown = f" [{' '.join(flags)}]" if flags else ""
        return f"< {self.topic}{shown} {_shown(self.payload)}"


def _shown(payload: bytes) -> str:
    if not payload:
        return EMPTY
    if payload[0] >= 0x80:
        return "hex " + payload.hex(" ")
    return payload.decode()


class Reader:
    """Publishes, and sees what everybody else publishes below the prefix: the bridge."""

    def __init__(self, mqtt: aiomqtt.Client) -> None:
        self._mqtt = mqtt
        self._messages: AsyncIterator[aiomqtt.Message] = aiter(mqtt.messages)

    async def send(self, line: Line, awaited: Collection[str] = ()) -> list[Seen]:
        """Send a line; returns all that the bridge publishes for it.

        Args:
            line: What is sent.
            awaited: Topics on which the bridge publishes something later, by itself.
        """
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if line.correlation is not None:
            properties.CorrelationData = line.correlation
        await self._mqtt.publish(
            line.topic, line.content(), qos=1, retain=line.retained, properties=properties
        )
        seen: list[Seen] = []
        # Twice: the first reply may overtake the state of a message that came before it.
        for _ in range(2):
            await self._mqtt.publish(_FENCE_TOPIC, b"", qos=1)
            seen += [message async for message in self._until_fence()]
        while not {message.topic for message in seen}.issuperset(awaited):
            async with asyncio.timeout(WAIT_S):
                seen.append(_seen(await anext(self._messages)))
        return seen

    async def next(self) -> Seen:
        """Wait for what the bridge publishes next, without being sent anything."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await anext(self._messages)
                if "/$bridge/" not in message.topic.value:
                    return _seen(message)

    async def _until_fence(self) -> AsyncIterator[Seen]:
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await anext(self._messages)
                if message.topic.value == _FENCE_REPLY:
                    return
                if "/$bridge/" not in message.topic.value:
                    yield _seen(message)


def _seen(message: aiomqtt.Message) -> Seen:
    properties = message.properties
    payload = message.payload
    assert isinstance(payload, bytes)
    return Seen(
        message.topic.value,
        message.retain,
        getattr(properties, "CorrelationData", None),
        getattr(properties, "ContentType", None),
        payload,
    )


@asynccontextmanager
async def connected_reader(broker: Mosquitto) -> AsyncIterator[Reader]:
    """A reader that has subscribed; what it publishes itself does not come back to it."""
    async with aiomqtt.Client(
        broker.host,
        broker.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        socket_options=SEND_AT_ONCE,
    ) as mqtt:
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
        await mqtt.subscribe("sync/#", options=options)
        yield Reader(mqtt)


def differences(step: Step, seen: list[Seen]) -> Iterator[str]:
    """Yield what is missing and what is too much; on each topic the order counts."""
    waiting = list(seen)
    for line in step.expected:
        found = next((message for message in waiting if message.topic == line.topic), None)
        if found is not None and found.matches(line):
            waiting.remove(found)
        else:
            yield f"expected: < {line.topic} {line.payload}"
    for message in waiting:
        yield f"published: {message}"
