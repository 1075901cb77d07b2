"""How a command's own connection to the broker goes: TLS, WebSocket, as the configuration says."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import paho.mqtt.client as paho

from bridge.config import BrokerConfig
from bridge.errors import ConfigError, ConnectRefused
from bridge.link import reasons
from bridge.link.tls import TlsSettings
from bridge.link.transport_reasons import tls_failed, websocket_failed


@dataclass(frozen=True, slots=True)
class Transport:
    """What stands between TCP and MQTT.

    Attributes:
        context: For TLS; None: without.
        websocket_path: Path of the broker's WebSocket; None: without.
    """

    context: ssl.SSLContext | None = None
    websocket_path: str | None = None

    @classmethod
    def from_config(cls, broker: BrokerConfig) -> Transport:
        """Read the files that TLS needs.

        Raises:
            ConfigError: One cannot be used, or `broker.server_name` is set: paho-mqtt checks the
                certificate against the host only.
        """
        if not broker.tls:
            return cls(None, broker.websocket_path)
        if broker.server_name is not None:
            raise ConfigError(
                "broker.server_name is not supported by commands that connect to the broker "
                "themselves",
                field="broker.server_name",
                hint="name a host that the certificate is for with --broker, and leave "
                "broker.server_name out",
            )
        settings = TlsSettings(broker.ca_file, broker.certificate_file, broker.key_file)
        return cls(settings.make_context(), broker.websocket_path)

    def prepare(self, client: paho.Client) -> None:
        """Tell a client, before it connects."""
        if self.context is not None:
            client.tls_set_context(self.context)
        if self.websocket_path is not None:
            client.ws_set_options(path=self.websocket_path)

    @property
    def is_websocket(self) -> bool:
        """MQTT goes through WebSocket."""
        return self.websocket_path is not None

    def explain(self, where: str, error: OSError) -> ConnectRefused:
        """Return the error for a connection that did not come about."""
        if isinstance(error, ssl.SSLError):
            return tls_failed(where, error)
        if isinstance(error, paho.WebsocketConnectionError):
            return websocket_failed(where, self.websocket_path or "", str(error))
        return reasons.unreachable(where, error)
