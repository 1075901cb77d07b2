"""A way to a broker on which the first connections end as soon as they are accepted."""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType

from bridge.config import Address
from tests.support.mosquitto import Mosquitto


class HastyBroker:
    """Forwards to a broker, from entering to leaving.

    Args:
        broker: Where to.
        ends_first: How many connections end after the broker's first answer, its CONNACK.

    Attributes:
        address: Where clients connect to.
        connections: How many have come.
    """

    def __init__(self, broker: Mosquitto, *, ends_first: int) -> None:
        self.connections = 0
        self._broker = broker
        self._ends_first = ends_first
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HastyBroker:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(timeout=30)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with client, socket.create_connection((self._broker.host, self._broker.port)) as broker:
                _forward(client, broker, only_first_answer=self.connections <= self._ends_first)


def _forward(client: socket.socket, broker: socket.socket, *, only_first_answer: bool) -> None:
    """Forward both ways until one of them ends, or until the broker has answered once."""
    other = {client: broker, broker: client}
    with selectors.DefaultSelector() as selector:
        for each in other:
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                source = client if key.fileobj is client else broker
                data = source.recv(65536)
                if not data:
                    return
                other[source].sendall(data)
                if only_first_answer and source is broker:
                    return
