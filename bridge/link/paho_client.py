"""paho-mqtt's client, made for one connection in MQTT 3.1.1."""

from __future__ import annotations

from collections.abc import Sequence

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.link.base import LinkSettings, Subscription
from bridge.link.paho_stream import PahoStream


class PahoClient(mqtt.Client):
    """A client for one connection over a stream that is connected already.

    It is used once, so that nothing of an older connection is left in it: no packet id, and no
    publish that it would send again by itself.

    An inner method of paho-mqtt is replaced, because it offers no other way: where it gets its
    socket from.

    Args:
        settings: Login, client id and last will.
        stream: The connection.
    """

    def __init__(self, settings: LinkSettings, stream: PahoStream) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._stream = stream
        self._settings = settings
        # Our own window is the bound. With a limit here, paho-mqtt would search all that is in
        # flight at each acknowledgement; 0 is no limit.
        self.max_inflight_messages_set(0)
        if settings.username is not None:
            self.username_pw_set(settings.username, settings.password)
        if settings.will is not None:
            will = settings.will()
            self.will_set(will.topic, will.payload, qos=1, retain=will.retain)

    def send_connect(self) -> None:
        """Queue CONNECT, for a session that is kept."""
        settings = self._settings
        self.connect(settings.host, settings.port, settings.keepalive_s)

    def send_subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Queue one SUBSCRIBE for all of them."""
        self.subscribe([(s.topic_filter, s.qos) for s in subscriptions])

    def _create_socket(self) -> mqtt.SocketLike:
        return self._stream
