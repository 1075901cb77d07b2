"""The checker's own connection: it sees what any subscriber sees."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from bridge.device import JsonObject
from bridge.errors import ConnectRefused, NotAnswered
from device_sim.checker.ledger import Ledger
from device_sim.checker.sightings import Sightings
from device_sim.checker.topics import parse_topic, twin_filters
from device_sim.payload import decode
from device_sim.wire import Client, Connection, Network

QUIET_S: Final = 0.5
"""A replay of retained messages has ended when nothing has come for so long."""

REPLAY_TIMEOUT_S: Final = 60.0
"""How long the replay of a large fleet may take."""


class Watcher:
    """Watches states and deltas and, into a ledger, reports, desires and replies.

    An `Endpoint`, for `device_sim.endpoint.keep_connected`.

    Args:
        prefix: Of all topics.
        ledger: Where replies are entered.
        reads_updates: Enter reports and desires as they pass by, too, as nobody else does.
        touched: Called after each message.

    Attributes:
        sightings: What was seen.
        connected: Set while connected.
        connections: How often it was connected.
    """

    def __init__(
        self,
        prefix: str,
        ledger: Ledger,
        *,
        reads_updates: bool,
        touched: Callable[[], None] = lambda: None,
    ) -> None:
        self.sightings = Sightings()
        self.connected = asyncio.Event()
        self.connections = 0
        self._prefix = prefix
        self._ledger = ledger
        self._touched = touched
        self._client_id = f"device-sim-checker-{secrets.token_hex(4)}"
        # At QoS 0, because a broker may cut a large replay of retained messages short at QoS 1.
        filters = [(name, 0) for verb in ("state", "delta") for name in twin_filters(prefix, verb)]
        filters += [(name, 1) for name in twin_filters(prefix, "reply", named="+")]
        if reads_updates:
            filters += [(name, 1) for name in twin_filters(prefix, "report")]
            filters += [(name, 1) for name in twin_filters(prefix, "desire", named="+")]
        self._filters = tuple(filters)

    def client(self) -> Client:
        """Return how to connect."""
        return Client(
            self._client_id, self._filters, self._live, received_retained=self._remembered
        )

    def up(self, connection: Connection) -> None:  # noqa: ARG002
        """Take that the connection stands."""
        self.connections += 1
        self.connected.set()

    def down(self) -> None:
        """Wait for the next connection."""
        self.connected.clear()

    def _live(self, topic: str, payload: bytes) -> None:
        self._received(topic, payload, retained=False)

    def _remembered(self, topic: str, payload: bytes) -> None:
        self._received(topic, payload, retained=True)

    def _received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        place = parse_topic(self._prefix, topic)
        if place is None:
            return
        if place.verb in ("state", "delta"):
            self.sightings.take(place, payload, retained=retained)
        elif place.verb == "reply":
            self._ledger.answered(topic, payload)
        else:
            self._ledger.sent(topic, payload)
        self._touched()


async def read_retained(
    network: Network, prefix: str
) -> dict[str, tuple[JsonObject | None, JsonObject | None]]:
    """Return what a new subscriber gets: twin -> its state and its delta.

    Raises:
        ConnectRefused: The broker cannot be reached.
        NotAnswered: It does not come to an end.
    """
    found: dict[str, dict[str, JsonObject | None]] = {}
    arrived = asyncio.Event()

    def take(topic: str, payload: bytes) -> None:
        place = parse_topic(prefix, topic)
        if place is not None:
            found.setdefault(place.twin, {})[place.verb] = decode(payload) if payload else None
        arrived.set()

    filters = tuple((name, 0) for verb in ("state", "delta") for name in twin_filters(prefix, verb))
    client_id = f"device-sim-checker-{secrets.token_hex(4)}"
    connection = await network.connect(Client(client_id, filters, take))
    try:
        async with asyncio.timeout(REPLAY_TIMEOUT_S):
            while await _comes_something(arrived):
                arrived.clear()
        if connection.lost.is_set():
            raise ConnectRefused(f"{network.broker} closed the connection", hint="is it running?")
    except TimeoutError:
        raise NotAnswered(
            f"the retained messages below {prefix}/ did not come to an end within "
            f"{REPLAY_TIMEOUT_S:g} s",
            hint="check a fleet that is quieter",
        ) from None
    finally:
        await connection.close()
    return {twin: (parts.get("state"), parts.get("delta")) for twin, parts in found.items()}


async def _comes_something(arrived: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(QUIET_S):
            await arrived.wait()
    except TimeoutError:
        return False
    return True
