"""MQTT 5 for very many clients in one process: a few kilobytes a connection, and no thread.

The codec is the package `mqtt5`, written in Rust. Of the protocol there is what the simulator
needs: QoS 0 and 1, no topic aliases, no resending. What was not acknowledged when a connection
ended is the device library's matter, which sends it again until the bridge has answered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import cast

import mqtt5

from bridge.errors import ConnectRefused
from device_sim.broker import Broker
from device_sim.mqtt5_packets import connect_packet, publish_packet, subscribe_packet
from device_sim.refused import unreachable
from device_sim.wire import CONNECT_TIMEOUT_S, KEEPALIVE_S, Client, Outgoing

CONNECTING_MAX = 500
"""Connections being opened at the same time: more overflow what a broker lets wait."""

PACKET_BYTES_MAX = 1024 * 1024
"""Largest packet that is taken: a twin is at most 64 KiB, and an answer holds two sections."""

WAITING_MAX = 10_000
"""Messages that wait for the broker's receive window or for the socket; more are dropped, and
counted in `Shared.dropped`."""

FILTERS_PER_SUBSCRIBE = 200
"""Topic filters in one packet; a gateway has thousands."""

_PACKET_IDS = 0xFFFF
_FAILURE = 0x80

# The codec's reason codes cannot be hashed.
_TRY_AGAIN = (
    mqtt5.ConnAckReasonCode.SERVER_UNAVAILABLE,
    mqtt5.ConnAckReasonCode.SERVER_BUSY,
    mqtt5.ConnAckReasonCode.CONNECTION_RATE_EXCEEDED,
    mqtt5.ConnAckReasonCode.QUOTA_EXCEEDED,
)
"""Refusals that may end by themselves; the others need a change by the user."""

_PING = mqtt5.PingReqPacket().write()


class Shared:
    """What the connections of one event loop have in common.

    Attributes:
        broker: Where they lead to.
        tls: For TLS; None: without.
        connections: Those that stand.
        deserted: Sockets that their clients have taken for lost and the broker has not closed.
        connecting: Bounds how many are being opened.
        dropped: Messages that found no room.
        refused: Publishes that the broker acknowledged with a failure.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.tls = broker.make_tls_context()
        self.connections: set[Mqtt5Connection] = set()
        self.deserted: set[Mqtt5Connection] = set()
        self.connecting = asyncio.Semaphore(CONNECTING_MAX)
        self.dropped = 0
        self.refused = 0

    def troubles(self) -> dict[str, int]:
        """Return what went wrong without ending a connection, and how often."""
        troubles = {
            "a message found no room": self.dropped,
            "the broker refused a publish": self.refused,
        }
        return {what: count for what, count in troubles.items() if count}


class Mqtt5Connection(asyncio.Protocol):
    """One connection, from its start to its end; see `device_sim.wire.Connection`.

    Attributes:
        lost: Set when the connection has ended, whoever ended it.
        session_present: The broker had kept a session.
    """

    def __init__(self, network: Shared, client: Client) -> None:
        self.lost = asyncio.Event()
        self.session_present = False
        self._network = network
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[None] | None = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._partial = b""
        self._is_paused = False
        self._is_stalled = False
        self._keep_alive_s = float(KEEPALIVE_S)
        self._heard_at = self._pinged_at = self._loop.time()
        self._receive_max = _PACKET_IDS
        self._last_id = 0
        self._in_flight: set[int] = set()
        self._subscribing: set[int] = set()
        self._waiting: deque[Outgoing] | None = None
        self._drained: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        """It stands and its subscriptions are granted."""
        return self in self._network.connections

    async def open(self) -> None:
        """Connect; see `Network.connect`."""
        broker = self._network.broker
        ready = self._ready
        assert ready is not None  # noqa: S101 - it is opened once
        try:
            async with self._network.connecting, asyncio.timeout(CONNECT_TIMEOUT_S):
                tls = self._network.tls
                await self._loop.create_connection(lambda: self, broker.host, broker.port, ssl=tls)
                await ready
        except TimeoutError as error:
            raise ConnectRefused(
                f"{broker} did not answer within {CONNECT_TIMEOUT_S:g} s",
                hint="is an MQTT 5 broker listening there? --protocol 3.1.1 speaks the older one",
            ) from error
        except OSError as error:
            raise unreachable(broker, error) from error
        self._ready = None
        if not self.lost.is_set():
            self._network.connections.add(self)

    def publish(self, message: Outgoing) -> None:
        """Send a message; nothing happens where the connection has ended."""
        if not self.is_open or self._is_stalled:
            return
        is_full = message.qos and len(self._in_flight) >= self._receive_max
        if self._is_paused or is_full or self._waiting:
            self._wait(message)
        else:
            self._send(message)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe once more: the broker sends what is retained there."""
        if self.is_open and not self._is_stalled:
            self._subscribe(((topic_filter, qos),))

    def disconnect(self) -> None:
        """Begin to disconnect in good order, without the last will.

        The broker closes the socket. Were it closed here, an acknowledgement on its way would be
        answered with a reset, which takes from the broker what it has not read yet.
        """
        transport = self._transport
        if transport is None or self._is_stalled:
            self.abandon()
            return
        # With 0 the broker forgets the session: nobody is to come back for it.
        transport.write(mqtt5.DisconnectPacket(session_expiry_interval=0).write())
        self._is_stalled = True
        self._network.connections.discard(self)
        self._loop.call_later(CONNECT_TIMEOUT_S, self.abandon)

    async def close(self) -> None:
        """Disconnect in good order, without the last will; idempotent."""
        if not self.is_open:
            return
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._send_the_rest()
                self.disconnect()
                await self.lost.wait()
        except TimeoutError:
            self.abandon()

    async def _send_the_rest(self) -> None:
        """Wait until the broker has made room for all that waits."""
        if self._waiting and not self._is_stalled:
            self._drained = asyncio.Event()
            await self._drained.wait()

    def abandon(self) -> None:
        """Close the socket as it is."""
        self._end()
        self._network.deserted.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def stall(self) -> None:
        """From now on nothing comes or goes, and neither side is told."""
        self._is_stalled = True

    def desert(self) -> None:
        """Take the connection for lost, and leave its socket to the broker."""
        self._is_stalled = True
        if self._transport is not None and not self._transport.is_closing():
            self._network.deserted.add(self)
        self._end()

    def keep_alive(self, now: float) -> None:
        """Ping if it is time to, or give up a dead connection."""
        if self._is_stalled or self._transport is None:
            return
        if now - self._heard_at > self._keep_alive_s * 1.5:
            self.abandon()
        elif now - self._pinged_at >= self._keep_alive_s / 2:
            self._pinged_at = now
            self._transport.write(_PING)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(connect_packet(self._client, self._network.broker, PACKET_BYTES_MAX))

    def data_received(self, data: bytes) -> None:
        """Take what has come: any number of packets, the last perhaps cut."""
        if self._is_stalled:
            return
        self._heard_at = self._loop.time()
        if self._partial:
            data = self._partial + data
        view, taken, answers = memoryview(data), 0, bytearray()
        try:
            while taken < len(data):
                packet, size = mqtt5.read(view[taken:])
                taken += size
                self._take(packet, answers)
        except IndexError:  # the rest of a packet is still under way
            pass
        except ValueError as error:
            self._fail(f"the broker sent what is not MQTT 5: {error}", recoverable=False)
            self.abandon()
            return
        self._partial = bytes(view[taken:])
        if len(self._partial) > PACKET_BYTES_MAX:
            self._fail("the broker sent too large a packet", recoverable=False)
            self.abandon()
        elif answers and self._transport is not None and not self._transport.is_closing():
            self._transport.write(bytes(answers))

    def pause_writing(self) -> None:
        """Wait until the socket takes more."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_paused = False
        self._send_waiting()

    def connection_lost(self, error: Exception | None) -> None:
        """Take that the connection is over."""
        if isinstance(error, ssl.SSLError) and self._ready is not None and not self._ready.done():
            # In TLS 1.3 a broker refuses our certificate only after the handshake.
            self._ready.set_exception(unreachable(self._network.broker, error))
        self._fail("the broker closed the connection", recoverable=True)
        self._end()
        self._network.deserted.discard(self)
        self._transport = None

    def _end(self) -> None:
        self._network.connections.discard(self)
        if self._drained is not None:
            self._drained.set()
        self.lost.set()

    def _take(self, packet: mqtt5.Packet, answers: bytearray) -> None:
        if isinstance(packet, mqtt5.PublishPacket):
            if packet.packet_id is not None:
                answers += mqtt5.PubAckPacket(packet.packet_id).write()
            self._client.take(packet.topic, packet.payload, retained=packet.retain)
        elif isinstance(packet, mqtt5.PubAckPacket):
            self._in_flight.discard(packet.packet_id)
            self._network.refused += int(packet.reason_code) >= _FAILURE
            self._send_waiting()
        elif isinstance(packet, mqtt5.ConnAckPacket):
            self._connected(packet)
        elif isinstance(packet, mqtt5.SubAckPacket):
            self._subscribed(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self._fail(f"the broker said goodbye: {_words(packet.reason_code)}", recoverable=True)

    def _connected(self, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            self._refused(packet.reason_code)
            return
        self.session_present = packet.session_present
        self._receive_max = packet.receive_max
        if packet.server_keep_alive:
            self._keep_alive_s = float(packet.server_keep_alive)
        filters = self._client.subscriptions
        for first in range(0, len(filters), FILTERS_PER_SUBSCRIBE):
            self._subscribe(filters[first : first + FILTERS_PER_SUBSCRIBE])
        if not filters:
            self._stands()

    def _refused(self, reason: mqtt5.ConnAckReasonCode) -> None:
        error = ConnectRefused(
            f"{self._network.broker} refused {self._client.client_id!r}: {_words(reason)}",
            hint="check the user, the password and the broker's access rules",
            recoverable=reason in _TRY_AGAIN,
        )
        self._set_failure(error)

    def _subscribe(self, filters: tuple[tuple[str, int], ...]) -> None:
        packet_id = self._next_id()
        self._subscribing.add(packet_id)
        if self._transport is not None:
            self._transport.write(subscribe_packet(packet_id, filters))

    def _subscribed(self, packet: mqtt5.SubAckPacket) -> None:
        self._subscribing.discard(packet.packet_id)
        refused = [code for code in packet.reason_codes if int(code) >= _FAILURE]
        if refused:
            self._set_failure(
                ConnectRefused(
                    f"{self._network.broker} refused a subscription of "
                    f"{self._client.client_id!r}: {_words(refused[0])}",
                    hint="check the broker's access rules",
                    recoverable=False,
                )
            )
        elif not self._subscribing:
            self._stands()

    def _stands(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)

    def _fail(self, reason: str, *, recoverable: bool) -> None:
        self._set_failure(
            ConnectRefused(
                f"{self._network.broker}, connection of {self._client.client_id!r}: {reason}",
                hint="the broker's log says why",
                recoverable=recoverable,
            )
        )

    def _set_failure(self, error: ConnectRefused) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            # Whoever waited may have been cancelled meanwhile; asyncio would complain.
            self._ready.exception()

    def _wait(self, message: Outgoing) -> None:
        if self._waiting is None:
            self._waiting = deque()
        if len(self._waiting) >= WAITING_MAX:
            self._network.dropped += 1
        else:
            self._waiting.append(message)

    def _send_waiting(self) -> None:
        waiting = self._waiting
        while waiting and not self._is_paused:
            if waiting[0].qos and len(self._in_flight) >= self._receive_max:
                return
            self._send(waiting.popleft())
        if self._drained is not None and not waiting:
            self._drained.set()

    def _send(self, message: Outgoing) -> None:
        packet_id = None
        if message.qos:
            packet_id = self._next_id()
            self._in_flight.add(packet_id)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(publish_packet(message, packet_id))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % _PACKET_IDS + 1
            if self._last_id not in self._in_flight and self._last_id not in self._subscribing:
                return self._last_id


def _words(
    reason: mqtt5.ConnAckReasonCode | mqtt5.SubAckReasonCode | mqtt5.DisconnectReasonCode,
) -> str:
    """Return a reason as people read it: `Not authorized`."""
    return reason.name.replace("_", " ").capitalize()
