"""Gateways: connections that carry many devices each.

To a device a gateway looks like a network: it connects, and what it gets is a connection. A broker
knows only the gateway, so the last will of a device that vanishes is published by its gateway.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from types import TracebackType

from device_sim.broker import Broker
from device_sim.wire import Client, Connection, Outgoing


class Gateway:
    """A connection that carries devices. A `Network` to them, and an `Endpoint` to the real one.

    Args:
        broker: Where it leads to.
        number: Of the gateway, for its client id.
    """

    def __init__(self, broker: Broker, number: int) -> None:
        self.broker = broker
        self._client_id = f"device-sim-gateway-{number}-{secrets.token_hex(4)}"
        self._connection: Connection | None = None
        self._is_up = asyncio.Event()
        self._carried: set[CarriedConnection] = set()
        self._received: dict[str, Callable[[str, bytes], None]] = {}

    # To the real network.

    def client(self) -> Client:
        """Return how to connect."""
        return Client(self._client_id, (), self._dispatch)

    def up(self, connection: Connection) -> None:
        """Carry devices from now on."""
        self._connection = connection
        self._is_up.set()

    def down(self) -> None:
        """Take every device for lost."""
        self._connection = None
        self._is_up.clear()
        for carried in list(self._carried):
            carried.desert()

    # To the devices.

    def troubles(self) -> dict[str, int]:
        """Return nothing: what goes wrong does so on the real network."""
        return {}

    async def __aenter__(self) -> Gateway:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for carried in list(self._carried):
            await carried.close()

    async def connect(self, client: Client) -> CarriedConnection:
        """Connect a device as soon as the gateway itself is connected."""
        await self._is_up.wait()
        carried = CarriedConnection(self, client)
        self._carried.add(carried)
        for topic, qos in client.subscriptions:
            self._received[topic] = client.received
            self.subscribe(topic, qos)
        return carried

    def publish(self, message: Outgoing) -> None:
        """Send a message of a device's; nothing happens without a connection."""
        if self._connection is not None:
            self._connection.publish(message)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe for a device."""
        if self._connection is not None:
            self._connection.subscribe(topic_filter, qos)

    def holds(self, carried: CarriedConnection) -> bool:
        """Tell whether a device's connection stands."""
        return carried in self._carried

    def drop(self, carried: CarriedConnection, client: Client) -> None:
        """Carry a device no longer."""
        self._carried.discard(carried)
        self.mute(client)

    def mute(self, client: Client) -> None:
        """Hand nothing more to a client."""
        for topic, _ in client.subscriptions:
            if self._received.get(topic) == client.received:
                del self._received[topic]

    def _dispatch(self, topic: str, payload: bytes) -> None:
        received = self._received.get(topic)
        if received is not None:
            received(topic, payload)


class CarriedConnection:
    """One device's connection through a gateway; see `device_sim.wire.Connection`."""

    def __init__(self, gateway: Gateway, client: Client) -> None:
        self.lost = asyncio.Event()
        self._gateway = gateway
        self._client = client
        self._is_stalled = False

    @property
    def is_open(self) -> bool:
        """It stands."""
        return self._gateway.holds(self)

    def publish(self, message: Outgoing) -> None:
        """Send a message; nothing happens where the connection has ended."""
        if self.is_open and not self._is_stalled:
            self._gateway.publish(message)

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe once more: the broker sends what is retained there."""
        if self.is_open and not self._is_stalled:
            self._gateway.subscribe(topic_filter, qos)

    def disconnect(self) -> None:
        """Leave the gateway in good order."""
        self.desert()

    async def close(self) -> None:
        """Leave the gateway in good order; idempotent."""
        self.desert()

    def abandon(self) -> None:
        """Vanish: the gateway publishes the last will."""
        if self.is_open and self._client.will is not None:
            self._gateway.publish(self._client.will)
        self.desert()

    def stall(self) -> None:
        """From now on nothing comes or goes, and neither side is told."""
        self._is_stalled = True
        self._gateway.mute(self._client)

    def desert(self) -> None:
        """Take the connection for lost."""
        self._gateway.drop(self, self._client)
        self.lost.set()
