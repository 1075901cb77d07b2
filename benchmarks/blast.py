"""The load of the benchmark suite: packets encoded beforehand, sent as fast as may be.

All PUBLISH packets have one size, so that any run of them is a slice of one buffer, and PUBACKs are
counted by their bytes: the load takes next to no CPU time from what is measured. They are MQTT
3.1.1, where a PUBACK always has the same size.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

from benchmarks import packets
from benchmarks.counting import WINDOW, CountingConnection
from benchmarks.fleet import report_topic

Encoder = Callable[[int], bytes]
"""Makes the payload of an update from its number."""


class Sender(CountingConnection):
    """One connection that sends its packets in order, as many as it is allowed.

    Args:
        client_id: Of the connection.
        devices: Who reports; taken in turns.
        numbers: For each turn, the number of the update that every device sends.
        encode: Makes payloads, all of one size.

    Attributes:
        total: How many packets there are.
        done: Done when there is one for every packet.
    """

    def __init__(
        self, client_id: str, devices: Sequence[int], numbers: range, encode: Encoder
    ) -> None:
        super().__init__(client_id)
        self._devices = devices
        self._numbers = numbers
        self._packets = memoryview(_encode(devices, numbers, encode))
        self._allowed = 0
        self._sent = 0
        self.total = len(devices) * len(numbers)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:
        """Count PUBACKs, and note the last one."""
        super().data_received(data)
        if self.acknowledged == self.total and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Fail where packets are left."""
        if not self.done.done():
            self.done.set_exception(ConnectionError("the broker closed a sender's connection"))

    # What the owner calls.

    def next_update(self) -> tuple[int, int] | None:
        """Return device and number of the update that is next to be allowed; None at the end."""
        if self._allowed == self.total:
            return None
        turn, index = divmod(self._allowed, len(self._devices))
        return self._devices[index], self._numbers[turn]

    def allow(self, count: int) -> None:
        """Allow so many packets more, or what is left."""
        self._allowed = min(self._allowed + count, self.total)
        self._send()

    def _send(self) -> None:
        end = min(self._allowed, self.acknowledged + WINDOW)
        if end > self._sent and self._transport is not None:
            size_bytes = len(self._packets) // self.total
            self._transport.write(self._packets[self._sent * size_bytes : end * size_bytes])
            self._sent = end


def _encode(devices: Sequence[int], numbers: range, encode: Encoder) -> bytes:
    encoded = []
    topics = [report_topic(device) for device in devices]
    packet_ids = itertools.cycle(range(1, packets.MAXIMUM_PACKET_ID + 1))
    for number in numbers:
        payload = encode(number)
        encoded += [packets.publish(topic, payload, next(packet_ids)) for topic in topics]
    if len(set(map(len, encoded))) != 1:
        raise ValueError("all packets must be of one size")
    return b"".join(encoded)


async def open_senders(
    port: int, devices: Sequence[int], numbers: range, connections: int, encode: Encoder
) -> list[Sender]:
    """Connect senders to a broker on loopback, with the devices shared out among them."""
    senders = []
    for index in range(min(connections, len(devices))):
        share = devices[index::connections]
        sender = Sender(f"sender-{numbers.start}-{index}", share, numbers, encode)
        senders.append(await sender.connect(port))
    return senders
