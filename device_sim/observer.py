"""The observer: a client of its own that sees what any subscriber sees, and nothing else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable

from device_sim.latency import Latencies
from device_sim.payload import decode
from device_sim.watch import TwinWatch
from device_sim.wire import Client, Connection

_QOS = 0
"""A broker cuts the replay of many retained messages short at QoS 1. What is lost at QoS 0 is
made good at the end of a run by `Observer.look_again`."""


class Observer:
    """Watches the retained states of a fleet, on `{prefix}/+/state`.

    Args:
        prefix: Of all topics.
        devices: The ids to watch; other twins are passed over.
        clock: Seconds of a clock that never goes back.
        touched: Called with the device's id when a newer state has arrived.

    Attributes:
        twins: What was seen, by device.
        latencies: From the publish of a report to the arrival of a state that has it.
        convergences: For how long `reported` lacked something of `desired`.
        connected: Set once it has been connected.
    """

    def __init__(
        self,
        prefix: str,
        devices: Iterable[str],
        *,
        clock: Callable[[], float],
        touched: Callable[[str], None],
    ) -> None:
        self.twins = {device: TwinWatch() for device in devices}
        self.latencies = Latencies()
        self.convergences = Latencies()
        self.connected = asyncio.Event()
        self._prefix = prefix
        self._clock = clock
        self._touched = touched
        self._client_id = f"device-sim-observer-{secrets.token_hex(4)}"
        self._connection: Connection | None = None

    def client(self) -> Client:
        """Return how to connect."""
        return Client(self._client_id, ((f"{self._prefix}/+/state", _QOS),), self._received)

    def up(self, connection: Connection) -> None:
        """Take a connection."""
        self._connection = connection
        self.connected.set()

    def down(self) -> None:
        """Wait for the next connection."""
        self._connection = None

    def look_again(self, device: str) -> None:
        """Have the broker send a device's retained state once more."""
        if self._connection is not None:
            self._connection.subscribe(f"{self._prefix}/{device}/state", _QOS)

    def acknowledged(self, device: str, version: int, sent_at: float) -> None:
        """Take a reply that says that a report has changed something."""
        self.twins[device].acknowledged(version, sent_at, self.latencies)

    def _received(self, topic: str, payload: bytes) -> None:
        now = self._clock()
        device = topic.removeprefix(self._prefix + "/").removesuffix("/state")
        watch = self.twins.get(device)
        if watch is None:
            return
        if not payload:
            watch.cleared()
            self._touched(device)
            return
        document = decode(payload)
        if document is not None and watch.seen(document, now, self.latencies, self.convergences):
            self._touched(device)
