"""The observer of the benchmark suite: sees every state, and checks it.

It is not to be measured, so it reads from a payload only what it must see of each state: the number
of the update, found by its bytes, and the version. The last state of each device is parsed whole
when the measurement is over.
"""

from __future__ import annotations

import asyncio
import socket
from array import array
from collections.abc import Callable, Collection
from typing import Final, cast

import mqtt5
import orjson

from benchmarks.fleet import PROBE_REPORT, PROBE_STATE, STATES, index_of
from benchmarks.payloads import NUMBER_DIGITS
from benchmarks.reading import PacedReading

PROBE_INTERVAL_S: Final = 0.02

ANSWER_TIMEOUT_S: Final = 20.0
"""How long the broker may take to answer on a busy machine."""

FAULTS_MAX: Final = 20
"""Faults that are kept: one cause can make a million."""

_NUMBER: Final = b'"n":'
_VERSION: Final = b'{"version":'


class Watcher(asyncio.Protocol):
    """Follows the newest update that is visible of each device; made by `open_watcher`.

    Subscribes at QoS 0, which takes the least from the broker.

    Args:
        devices: How many there are.
        is_twin: States are twins with a version, and the fields are in `reported`.

    Attributes:
        reading: How often it reads.
        on_advance: Called with device, the number seen before, and the number seen now.
        on_read: Called when all that arrived at once has been taken.
        last: Device -> its newest state, since `expect`.
        states: How many states arrived.
        repeated: How many of them had arrived before.
        faults: What went back or cannot be read, one line each; the first `FAULTS_MAX`.
    """

    def __init__(self, devices: int, *, is_twin: bool) -> None:
        self._is_twin = is_twin
        self._newest = array("I", bytes(4 * devices))
        self._versions = array("I", bytes(4 * devices))
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._answers: asyncio.Queue[mqtt5.Packet] = asyncio.Queue()
        self._left = 0
        self._final = 0
        self._complete = asyncio.Event()
        self._probed = asyncio.Event()
        self._lost = asyncio.Event()
        self.reading = PacedReading()
        self.on_advance: Callable[[int, int, int], None] | None = None
        self.on_read: Callable[[], None] | None = None
        self.last: dict[int, bytes] = {}
        self.states = 0
        self.repeated = 0
        self.faults: list[str] = []

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Read all packets that are complete."""
        if self._rest:
            data = self._rest + data
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            try:
                packet, size_bytes = mqtt5.read(view[position:])
            except IndexError:  # The rest of it has not arrived.
                break
            position += size_bytes
            if type(packet) is mqtt5.PublishPacket:
                self.take(packet.topic, packet.payload)
            else:
                self._answers.put_nowait(packet)
        self._rest = data[position:]
        if self.on_read is not None:
            self.on_read()
        if self._transport is not None:
            self.reading.rest(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note the end; nothing more will be seen."""
        self._lost.set()

    # What the owner calls.

    async def subscribe(self) -> None:
        """Open the session and subscribe to all states.

        Raises:
            ConnectionError: The broker refused.
            TimeoutError: It did not answer.
        """
        self._write(mqtt5.ConnectPacket("watcher", clean_start=True))
        connack = await self._answer()
        filters = [mqtt5.TopicFilter(STATES, max_qos=mqtt5.QoS.AT_MOST_ONCE)]
        self._write(mqtt5.SubscribePacket(1, filters))
        suback = await self._answer()
        if (
            not isinstance(connack, mqtt5.ConnAckPacket)
            or connack.reason_code != mqtt5.ConnAckReasonCode.SUCCESS
            or not isinstance(suback, mqtt5.SubAckPacket)
            or suback.reason_codes != [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_MOST_ONCE]
        ):
            raise ConnectionError(f"the broker refused the watcher: {connack}, {suback}")

    async def wait_for_peer(self, timeout_s: float) -> None:
        """Wait until the peer turns a report into a state.

        Raises:
            TimeoutError: It does not.
        """
        number = 0
        async with asyncio.timeout(timeout_s):
            while not self._probed.is_set():
                number += 1
                payload = orjson.dumps({"n": number})
                self._write(mqtt5.PublishPacket(PROBE_REPORT, payload))
                await asyncio.sleep(PROBE_INTERVAL_S)

    def expect(self, devices: Collection[int], final: int) -> None:
        """Begin to wait for an update of each of the devices, which none of them has had yet."""
        self.last.clear()
        self._left = len(devices)
        self._final = final
        self._complete.clear()

    async def complete(self, stall_timeout_s: float) -> None:
        """Wait until all that is expected has been seen.

        Args:
            stall_timeout_s: How long no state may come.

        Raises:
            TimeoutError: None came for so long.
            ConnectionError: The broker closed the connection.
        """
        ends = [asyncio.ensure_future(event.wait()) for event in (self._complete, self._lost)]
        try:
            states = -1
            while states != self.states and not any(end.done() for end in ends):
                states = self.states
                await asyncio.wait(
                    ends, timeout=stall_timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            for end in ends:
                end.cancel()
        if self._complete.is_set():
            return
        if self._lost.is_set():
            raise ConnectionError("the broker closed the watcher's connection")
        raise TimeoutError(f"{self._left} devices never showed update {self._final}")

    def close(self) -> None:
        """Disconnect."""
        self._write(mqtt5.DisconnectPacket())
        if self._transport is not None:
            self._transport.close()

    def take(self, topic: str, payload: bytes) -> None:
        """Read and check one state."""
        try:
            device = index_of(topic)
            number_at = payload.index(_NUMBER) + len(_NUMBER)
            number = int(payload[number_at : number_at + NUMBER_DIGITS])
            before = self._newest[device]
            if self._is_twin:
                self._check_version(device, payload)
        except (ValueError, IndexError) as error:
            if topic == PROBE_STATE:
                self._probed.set()
            else:
                self.fault(f"{topic}: cannot be read: {type(error).__name__}: {error}")
            return
        self.states += 1
        if number < before:
            self.fault(f"{topic}: update {number} came after update {before}")
            return
        self._newest[device] = number
        self.last[device] = payload
        if self.on_advance is not None:
            self.on_advance(device, before, number)
        if number == self._final and number != before:
            self._left -= 1
            if not self._left:
                self._complete.set()

    def fault(self, fault: str) -> None:
        """Note something that is wrong."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(fault)

    def _check_version(self, device: int, payload: bytes) -> None:
        if not payload.startswith(_VERSION):
            raise ValueError("it does not begin with a version")
        begin = len(_VERSION)
        version = int(payload[begin : payload.index(b",", begin)])
        before = self._versions[device]
        if version <= before:
            self._judge_version(device, version, before, payload)
        self._versions[device] = version

    def _judge_version(self, device: int, version: int, before: int, payload: bytes) -> None:
        """A publish whose PUBACK was lost with its connection comes again, but only as it was."""
        if version < before:
            self.fault(f"device {device}: version {version} came after version {before}")
        elif self.last.get(device, payload) != payload:
            self.fault(f"device {device}: version {version} came again with another content")
        else:
            self.repeated += 1

    async def _answer(self) -> mqtt5.Packet:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await self._answers.get()

    def _write(
        self,
        packet: mqtt5.ConnectPacket
        | mqtt5.SubscribePacket
        | mqtt5.PublishPacket
        | mqtt5.DisconnectPacket,
    ) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packet.write())


async def open_watcher(port: int, devices: int, *, is_twin: bool) -> Watcher:
    """Connect to a broker on loopback, and subscribe.

    Raises:
        OSError: There is none, or it refused.
    """
    loop = asyncio.get_running_loop()
    _, watcher = await loop.create_connection(
        lambda: Watcher(devices, is_twin=is_twin), "127.0.0.1", port
    )
    await watcher.subscribe()
    return watcher
