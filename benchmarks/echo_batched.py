"""The reference: echo each report to its retained state topic, and nothing else.

It does not parse, merge, number or store. It is as fast as the `mqtt5` codec makes an echo in
Python: one thread on a blocking socket, whole reads parsed in a loop, and one write for all that
follows from a read, PUBACKs included. It keeps the broker's receive maximum; a report is
acknowledged with its echo, so that what waits is bounded where the broker keeps the receive maximum
of this side.

    python -m benchmarks.echo_batched --port 1883
"""

from __future__ import annotations

import argparse
import itertools
import socket
from collections import deque
from typing import Final

import mqtt5

from benchmarks.fleet import REPORTS
from benchmarks.packets import MAXIMUM_PACKET_ID

READ_BYTES: Final = 256 * 1024

RECEIVE_MAX: Final = 65_535
"""Reports that the broker may send ahead: the most there is."""

_VERB: Final = len("report")


class Echo:
    """One connection that echoes.

    Args:
        connection: To the broker, blocking. Its owner closes it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = b""
        self._waiting: deque[mqtt5.PublishPacket] = deque()
        self._packet_ids = itertools.cycle(range(1, MAXIMUM_PACKET_ID + 1))
        self._window = 0

    def run(self) -> None:
        """Echo until the broker closes the connection.

        Raises:
            ConnectionError: The broker refused or disconnected.
        """
        connect = mqtt5.ConnectPacket("echo", clean_start=True, receive_max=RECEIVE_MAX)
        self._socket.sendall(connect.write())
        subscription = mqtt5.TopicFilter(REPORTS, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
        self._socket.sendall(mqtt5.SubscribePacket(1, [subscription]).write())
        while data := self._socket.recv(READ_BYTES):
            self._take(data)
            answer = self._answer()
            if answer:
                self._socket.sendall(answer)

    def _take(self, data: bytes) -> None:
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
                self._waiting.append(packet)
            elif type(packet) is mqtt5.PubAckPacket:
                self._window += 1
            elif type(packet) is mqtt5.ConnAckPacket:
                if packet.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
                    raise ConnectionError(f"the broker refused: {packet.reason_code.name}")
                self._window = packet.receive_max
            elif type(packet) is mqtt5.DisconnectPacket:
                raise ConnectionError(f"the broker disconnected: {packet.reason_code.name}")
        self._rest = data[position:]

    def _answer(self) -> bytes:
        """Return the echoes that the window has room for, each before its report's PUBACK."""
        count = min(self._window, len(self._waiting))
        self._window -= count
        encoded: list[bytes] = []
        for _ in range(count):
            report = self._waiting.popleft()
            echo = mqtt5.PublishPacket(
                report.topic[:-_VERB] + "state",
                report.payload,
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                retain=True,
                packet_id=next(self._packet_ids),
            )
            encoded.append(echo.write())
            if report.packet_id is not None:
                encoded.append(mqtt5.PubAckPacket(report.packet_id).write())
        return b"".join(encoded)


def main() -> None:
    """Echo until killed, or until the broker is gone."""
    parser = argparse.ArgumentParser(prog="echo_batched", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    with socket.create_connection(("127.0.0.1", given.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Echo(connection).run()


if __name__ == "__main__":
    main()
