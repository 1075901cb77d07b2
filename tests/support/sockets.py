"""Clients of a test whose small packets do not wait for each other.

With Nagle's algorithm each step that waits for an answer may take 40 ms more.
"""

from __future__ import annotations

import socket
from typing import Final

SEND_AT_ONCE: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
"""Options of a socket, for aiomqtt."""


def send_at_once(_client: object, _data: object, opened: socket.socket) -> None:
    """Set them: for `on_socket_open` of paho-mqtt."""
    for option in SEND_AT_ONCE:
        opened.setsockopt(*option)
