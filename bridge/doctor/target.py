"""The broker to be examined, and how to get at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import paho.mqtt.client as paho

from bridge.errors import ConnectRefused


class Transport(Protocol):
    """What stands between TCP and MQTT."""

    @property
    def is_websocket(self) -> bool:
        """MQTT goes through WebSocket."""

    def prepare(self, client: paho.Client) -> None:
        """Tell a client, before it connects."""

    def explain(self, where: str, error: OSError) -> ConnectRefused:
        """Return the error for a connection that did not come about."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user name and its password; None for anonymous."""

    username: str | None = None
    password: str | None = None

    @property
    def is_anonymous(self) -> bool:
        """Nobody is named."""
        return self.username is None


ANONYMOUS = Login()


@dataclass(frozen=True, slots=True)
class Target:
    """The broker, and what the bridge wants of it.

    Attributes:
        host: Name or address.
        port: TCP port.
        transport: What stands between TCP and MQTT.
        login: Who examines: this login may write and read below `{prefix}/$bridge/doctor/`.
        device: The login of a device, whose rights are looked at; None: of no device.
        prefix: What the topics of the bridge begin with.
        payload_bytes: Largest payload that the bridge takes.
        timeout_s: How long to wait for a connection, and for each answer.
    """

    host: str
    port: int
    transport: Transport
    login: Login
    device: Login | None
    prefix: str
    payload_bytes: int
    timeout_s: float

    @property
    def where(self) -> str:
        """The broker's address, for messages."""
        return f"{self.host}:{self.port}"
