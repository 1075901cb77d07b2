"""Something that is to be connected all the time, and what keeps it so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Protocol

from bridge.errors import ConnectRefused
from device_sim.wire import Client, Connection, Network

BACKOFF_MIN_S = 0.2
BACKOFF_MAX_S = 10.0
"""Longest pause between attempts: a fleet is back soon after its broker is."""


_ATTEMPTS_MAX = 10
"""From there on the pause is the longest; more would overflow in the end."""


class Endpoint(Protocol):
    """One MQTT client of the simulator: a device, the application, the observer."""

    def client(self) -> Client:
        """Return how to connect."""

    def up(self, connection: Connection) -> None:
        """The connection stands and the subscriptions are granted."""

    def down(self) -> None:
        """The connection has ended."""


async def keep_connected(
    network: Network,
    endpoint: Endpoint,
    random: Random,
    *,
    wanted: asyncio.Event | None = None,
    failed: Callable[[ConnectRefused], None] | None = None,
) -> None:
    """Connect an endpoint, again and again, until cancelled.

    Args:
        network: To connect through.
        endpoint: What is to be connected.
        random: For the pauses between attempts.
        wanted: Set while it is to be connected; by default it always is. Whoever clears it ends
            the connection.
        failed: Called with each attempt that failed and is to be repeated.

    Raises:
        ConnectRefused: The broker refused for a reason that does not end by itself.
    """
    attempts = 0
    while True:
        if wanted is not None:
            await wanted.wait()
        try:
            connection = await network.connect(endpoint.client())
        except ConnectRefused as error:
            if not error.recoverable:
                raise
            if failed is not None:
                failed(error)
            pause_s = min(BACKOFF_MIN_S * 2**attempts, BACKOFF_MAX_S)
            attempts = min(attempts + 1, _ATTEMPTS_MAX)
            # Jitter, so that a fleet does not return to its broker in one instant.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
            continue
        attempts = 0
        if wanted is not None and not wanted.is_set():
            connection.abandon()
            continue
        endpoint.up(connection)
        try:
            await connection.lost.wait()
        finally:
            endpoint.down()
        if wanted is None or wanted.is_set():
            await asyncio.sleep(BACKOFF_MIN_S * random.uniform(0.5, 1.5))
