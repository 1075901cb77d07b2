"""All connections of a run over MQTT 5, from the first to the last."""

from __future__ import annotations

import asyncio
from types import TracebackType

from device_sim.broker import Broker
from device_sim.mqtt5_connection import Mqtt5Connection, Shared
from device_sim.wire import Client

_HOUSEKEEPING_INTERVAL_S = 5.0


class Mqtt5Network(Shared):
    """What the connections of one event loop share. An async context manager."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._housekeeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Mqtt5Network:
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

    async def connect(self, client: Client) -> Mqtt5Connection:
        """Connect and subscribe.

        Raises:
            ConnectRefused: The network or the broker said no; `recoverable` tells whether it may
                go otherwise later.
        """
        connection = Mqtt5Connection(self, client)
        try:
            await connection.open()
        except BaseException:
            connection.abandon()
            raise
        return connection

    async def _keep_alive(self) -> None:
        """Send pings, and notice connections that are dead."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_HOUSEKEEPING_INTERVAL_S)
            now = loop.time()
            for connection in list(self.connections):
                connection.keep_alive(now)
