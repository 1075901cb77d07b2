"""One raw MQTT 3.1.1 connection: says what the broker acknowledged, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from benchmarks import packets

ANSWER_TIMEOUT_S: Final = 20.0
"""How long a broker may take to answer CONNECT, SUBSCRIBE or PINGREQ on a busy machine."""

RECONNECT_INTERVAL_S: Final = 0.05
"""Pause between attempts while a broker is being started again."""


class Client(asyncio.Protocol):
    """A connection with a clean session; made by `open_client`.

    Args:
        on_publish: Called for every PUBLISH; one of QoS 1 is acknowledged by itself, after it.
        on_puback: Called with the packet id of every PUBACK.

    Attributes:
        lost: Done when the connection is gone.
    """

    def __init__(
        self,
        on_publish: Callable[[packets.Publish], None] | None = None,
        on_puback: Callable[[int], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._on_publish = on_publish
        self._on_puback = on_puback
        self._splitter = packets.Splitter()
        self._answers = {
            kind: asyncio.Queue[packets.Packet]()
            for kind in (packets.CONNACK, packets.SUBACK, packets.PINGRESP)
        }
        self._packet_ids = itertools.cycle(range(1, packets.MAXIMUM_PACKET_ID + 1))
        self._unacknowledged: set[int] = set()
        self._acknowledged = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = loop.create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Hand over what arrived, and acknowledge it in one piece."""
        acknowledgements = bytearray()
        for packet in self._splitter.feed(data):
            if packet.kind == packets.PUBLISH:
                publish = packets.read_publish(packet)
                if publish.packet_id:
                    acknowledgements += packets.puback(publish.packet_id)
                if self._on_publish is not None:
                    self._on_publish(publish)
            elif packet.kind == packets.PUBACK:
                self._take_puback(int.from_bytes(packet.body[:2]))
            else:
                self._answers[packet.kind].put_nowait(packet)
        if acknowledgements:
            self._write(bytes(acknowledgements))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note the end."""
        self.lost.set_result(None)
        self._acknowledged.set()

    # What the owner calls.

    async def connect(self, client_id: str) -> None:
        """Open the session.

        Raises:
            ConnectionError: The broker refused, or closed the connection.
        """
        self._write(packets.connect(client_id))
        packet = await self._answer(packets.CONNACK)
        if packet.body[1]:
            raise ConnectionError(f"the broker refused {client_id!r} with {packet.body[1]}")

    async def subscribe(self, filters: Sequence[str], qos: int) -> None:
        """Subscribe and wait for the answer.

        Raises:
            ConnectionError: The broker did not grant it.
        """
        self._write(packets.subscribe(next(self._packet_ids), filters, qos))
        packet = await self._answer(packets.SUBACK)
        if set(packet.body[2:]) != {qos}:
            raise ConnectionError(f"the broker did not grant {filters} at QoS {qos}")

    async def ping(self) -> None:
        """Wait until the broker has read everything that was sent before."""
        self._write(packets.PINGREQ)
        await self._answer(packets.PINGRESP)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish at QoS 1; returns the packet id."""
        packet_id = next(self._packet_ids)
        self._unacknowledged.add(packet_id)
        self._write(packets.publish(topic, payload, packet_id, retain=retain))
        return packet_id

    async def all_acknowledged(self) -> None:
        """Wait for the PUBACK of everything that was published.

        Raises:
            ConnectionError: The connection ended before.
        """
        while self._unacknowledged:
            if self.lost.done():
                raise ConnectionError(f"{len(self._unacknowledged)} publishes were never answered")
            self._acknowledged.clear()
            await self._acknowledged.wait()

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if not self.lost.done():
            self._write(packets.DISCONNECT)
            if self._transport is not None:
                self._transport.close()
        await self.lost

    def _take_puback(self, packet_id: int) -> None:
        self._unacknowledged.discard(packet_id)
        if not self._unacknowledged:
            self._acknowledged.set()
        if self._on_puback is not None:
            self._on_puback(packet_id)

    async def _answer(self, kind: int) -> packets.Packet:
        answer = asyncio.ensure_future(self._answers[kind].get())
        try:
            either: set[asyncio.Future[Any]] = {answer, self.lost}
            await asyncio.wait(
                either, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not answer.done():
                raise ConnectionError("the broker did not answer")
            return answer.result()
        finally:
            answer.cancel()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def open_client(
    port: int,
    client_id: str,
    *,
    on_publish: Callable[[packets.Publish], None] | None = None,
    on_puback: Callable[[int], None] | None = None,
) -> Client:
    """Connect to a broker on loopback.

    Raises:
        OSError: There is none, or it refused.
    """
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: Client(on_publish, on_puback), "127.0.0.1", port
    )
    await client.connect(client_id)
    return client


async def reopen_client(
    port: int,
    client_id: str,
    *,
    on_publish: Callable[[packets.Publish], None] | None = None,
    on_puback: Callable[[int], None] | None = None,
) -> Client:
    """Connect as soon as a broker that is being started again accepts it.

    Raises:
        TimeoutError: None did within `ANSWER_TIMEOUT_S`.
    """
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            try:
                return await open_client(
                    port, client_id, on_publish=on_publish, on_puback=on_puback
                )
            except OSError:
                await asyncio.sleep(RECONNECT_INTERVAL_S)
