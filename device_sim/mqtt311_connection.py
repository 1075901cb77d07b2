"""MQTT connections of many clients on one event loop, without a thread each.

paho-mqtt's own loop uses `select`, which ends at about 340 clients in a process. Here its sockets
are watched by asyncio and its callbacks run on the event loop: measured with 500 connections, a
publish with its echo takes 63 µs of processor time, against 169 µs through aiomqtt, which makes
a task of every message.

MQTT 3.1.1, because every broker speaks it, the embedded one included. Where the broker speaks 5,
`device_sim.mqtt5_connection` needs less of everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import ConnectRefused
from device_sim.broker import Broker
from device_sim.refused import unreachable
from device_sim.wire import CONNECT_TIMEOUT_S, KEEPALIVE_S, Client, Outgoing

CONNECT_THREADS = 8
"""paho opens a TCP connection with a blocking call: so many are opened at the same time."""

_HOUSEKEEPING_INTERVAL_S = 5.0

_TRY_AGAIN = frozenset({"Server unavailable", "Server busy"})
"""Refusals that may end by themselves; the others need a change by the user."""


class Mqtt311Network:
    """What the connections of one event loop share. An async context manager."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.tls = broker.make_tls_context()
        self.connections: set[Mqtt311Connection] = set()
        self.deserted: set[Mqtt311Connection] = set()
        self.sessions: set[str] = set()
        self.executor = ThreadPoolExecutor(CONNECT_THREADS, thread_name_prefix="connect")
        self._housekeeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Mqtt311Network:
        self._housekeeping = asyncio.create_task(self._keep_alive(), name="keep connections alive")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for deserted in list(self.deserted):
            deserted.abandon()
        # All at once: a broker that hangs is waited for once, not once for each connection.
        await asyncio.gather(*(connection.close() for connection in list(self.connections)))
        await asyncio.gather(*map(self._forget, self.sessions))
        self.executor.shutdown(wait=False)

    def troubles(self) -> dict[str, int]:
        """Return nothing: paho-mqtt keeps what finds no room, and 3.1.1 has no refusals."""
        return {}

    async def connect(self, client: Client) -> Mqtt311Connection:
        """Connect and subscribe.

        Raises:
            ConnectRefused: The network or the broker said no; `recoverable` tells whether it may
                go otherwise later.
        """
        if client.session_expiry_s:
            self.sessions.add(client.client_id)
        connection = Mqtt311Connection(self, client)
        try:
            await connection.open()
        except BaseException:
            connection.abandon()
            raise
        return connection

    async def _forget(self, client_id: str) -> None:
        """Have the broker forget a session, which in 3.1.1 has no end of its own."""
        with contextlib.suppress(ConnectRefused):
            connection = await self.connect(Client(client_id, (), _ignore))
            await connection.close()

    async def _keep_alive(self) -> None:
        """Let paho send its pings and notice connections that are dead."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_INTERVAL_S)
            for connection in list(self.connections):
                connection.keep_alive()


def _ignore(topic: str, payload: bytes) -> None:
    """Take a message and do nothing."""


class Mqtt311Connection:
    """One connection, from its start to its end; a new one is another object.

    So what an old connection still had to say is never sent on a new one.

    Attributes:
        lost: Done when the connection has ended, whoever ended it.
    """

    def __init__(self, network: Mqtt311Network, client: Client) -> None:
        self._network = network
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.lost = asyncio.Event()
        self._is_stalled = False
        self._unacknowledged: set[int] = set()
        self._drained: asyncio.Event | None = None
        self._paho = self._make_paho()

    def _make_paho(self) -> paho.Client:
        client, broker = self._client, self._network.broker
        made = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client.client_id,
            clean_session=client.clean and not client.session_expiry_s,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        made.connect_timeout = CONNECT_TIMEOUT_S
        if broker.username is not None:
            made.username_pw_set(broker.username, broker.password)
        if self._network.tls is not None:
            made.tls_set_context(self._network.tls)
        if client.will is not None:
            will = client.will
            made.will_set(will.topic, will.payload, will.qos, will.retain)
        made.on_connect = self._on_connect
        made.on_subscribe = self._on_subscribe
        made.on_message = self._on_message
        made.on_publish = self._on_publish
        made.on_disconnect = self._on_disconnect
        made.on_socket_open = self._on_socket_open
        made.on_socket_close = self._on_socket_close
        made.on_socket_register_write = self._on_register_write
        made.on_socket_unregister_write = self._on_unregister_write
        return made

    @property
    def is_open(self) -> bool:
        """It stands and its subscriptions are granted."""
        return self in self._network.connections

    async def open(self) -> None:
        """Connect; see `Mqtt311Network.connect`."""
        broker = self._network.broker
        try:
            await self._loop.run_in_executor(
                self._network.executor, self._paho.connect, broker.host, broker.port, KEEPALIVE_S
            )
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ready
        except TimeoutError as error:
            raise ConnectRefused(
                f"{broker} did not answer within {CONNECT_TIMEOUT_S:g} s",
                hint="is an MQTT broker listening there?",
            ) from error
        except OSError as error:
            raise unreachable(broker, error) from error
        self._network.connections.add(self)

    def publish(self, message: Outgoing) -> None:
        """Send a message; nothing happens where the connection has ended."""
        if self.is_open and not self._is_stalled:
            info = self._paho.publish(message.topic, message.payload, message.qos, message.retain)
            if message.qos:
                self._unacknowledged.add(info.mid)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe once more: the broker sends what is retained there."""
        if self.is_open and not self._is_stalled:
            self._paho.subscribe(topic_filter, qos)

    def disconnect(self) -> None:
        """Begin to disconnect in good order, without the last will."""
        if self._is_stalled:
            self.abandon()
        else:
            self._paho.disconnect()

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
        """Wait until the broker has taken everything, as far as paho holds back more."""
        if self._unacknowledged and not self._is_stalled:
            self._drained = asyncio.Event()
            await self._drained.wait()

    def abandon(self) -> None:
        """Close the socket as it is."""
        self.lost.set()
        self._network.connections.discard(self)
        self._network.deserted.discard(self)
        sock = self._paho.socket()
        if isinstance(sock, socket.socket) and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
            sock.close()

    def stall(self) -> None:
        """From now on nothing comes or goes, and neither side is told."""
        self._is_stalled = True
        sock = self._paho.socket()
        if isinstance(sock, socket.socket) and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def desert(self) -> None:
        """Take the connection for lost, and leave its socket to the broker."""
        self.stall()
        self._network.connections.discard(self)
        self._network.deserted.add(self)
        self.lost.set()

    def keep_alive(self) -> None:
        """Ping if it is time to, or give up a dead connection."""
        if not self._is_stalled:
            self._paho.loop_misc()

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,  # noqa: ARG002
        flags: paho.ConnectFlags,  # noqa: ARG002
        reason: ReasonCode,
        properties: Properties | None,  # noqa: ARG002
    ) -> None:
        if reason.is_failure:
            self._fail(
                ConnectRefused(
                    f"{self._network.broker} refused {self._client.client_id!r}: {reason}",
                    hint="check the user, the password and the broker's access rules",
                    recoverable=str(reason) in _TRY_AGAIN,
                )
            )
        elif self._client.subscriptions:
            client.subscribe(list(self._client.subscriptions))
        elif not self._ready.done():
            self._ready.set_result(None)

    def _on_subscribe(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        packet_id: int,  # noqa: ARG002
        reasons: list[ReasonCode],
        properties: Properties | None,  # noqa: ARG002
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._fail(
                ConnectRefused(
                    f"{self._network.broker} refused a subscription of "
                    f"{self._client.client_id!r}: {refused[0]}",
                    hint="check the broker's access rules",
                    recoverable=False,
                )
            )
        elif not self._ready.done():
            self._ready.set_result(None)

    def _on_message(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        message: paho.MQTTMessage,
    ) -> None:
        self._client.take(message.topic, bytes(message.payload), retained=message.retain)

    def _on_publish(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        packet_id: int,
        reason: ReasonCode,  # noqa: ARG002
        properties: Properties,  # noqa: ARG002
    ) -> None:
        self._unacknowledged.discard(packet_id)
        if self._drained is not None and not self._unacknowledged:
            self._drained.set()

    def _on_disconnect(
        self,
        client: paho.Client,  # noqa: ARG002
        userdata: object,  # noqa: ARG002
        flags: paho.DisconnectFlags,  # noqa: ARG002
        reason: ReasonCode,
        properties: Properties | None,  # noqa: ARG002
    ) -> None:
        self._fail(
            ConnectRefused(
                f"{self._network.broker} closed the connection of {self._client.client_id!r}: "
                f"{reason}",
                hint="the broker's log says why",
            )
        )
        self._network.connections.discard(self)
        if self._drained is not None:
            self._drained.set()
        self.lost.set()

    def _fail(self, error: ConnectRefused) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)
            # Whoever waited may have been cancelled meanwhile; asyncio would complain.
            self._ready.exception()

    # paho calls these from the thread that connects, then from the event loop.

    def _on_socket_open(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._loop.call_soon_threadsafe(self._watch, sock)

    def _watch(self, sock: socket.socket) -> None:
        if self.lost.is_set():
            sock.close()
        elif sock.fileno() >= 0:
            self._loop.add_reader(sock, self._read)

    def _read(self) -> None:
        self._paho.loop_read()
        # What TLS has decrypted already makes the socket readable for nobody.
        while isinstance(sock := self._paho.socket(), ssl.SSLSocket) and sock.pending():
            self._paho.loop_read()

    def _on_socket_close(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        if isinstance(sock, socket.socket) and sock.fileno() >= 0:
            self._loop.remove_reader(sock)

    def _on_register_write(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        if not isinstance(sock, socket.socket):
            return
        if threading.get_ident() == self._loop_thread:
            self._loop.call_soon(self._flush, sock)
        else:
            self._loop.call_soon_threadsafe(self._flush, sock)

    def _flush(self, sock: socket.socket) -> None:
        """Write what this turn of the loop has gathered; watch the socket only if it is full."""
        if sock.fileno() < 0:
            return
        self._paho.loop_write()
        if self._paho.want_write():
            self._loop.add_writer(sock, self._paho.loop_write)

    def _on_unregister_write(self, client: paho.Client, userdata: object, sock: object) -> None:  # noqa: ARG002
        if isinstance(sock, socket.socket) and sock.fileno() >= 0:
            self._loop.remove_writer(sock)
