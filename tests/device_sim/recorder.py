"""A client that writes down what is published, and with what a device may be driven."""

from __future__ import annotations

import time
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.sockets import send_at_once


class Recorder:
    """Listens to a topic filter on a thread of its own, from entering to leaving.

    Attributes:
        messages: (topic, payload, retain) in the order of arrival.
    """

    def __init__(self, port: int, topic_filter: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._port = port
        self._topic_filter = topic_filter
        self._ready = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_socket_open = send_at_once
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe

    def __enter__(self) -> Recorder:
        self._client.connect("127.0.0.1", self._port)
        self._client.subscribe(self._topic_filter, 1)
        self._client.loop_start()
        deadline = time.monotonic() + 10
        while not self._ready and time.monotonic() < deadline:
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish and wait for the broker's acknowledgement."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def _on_subscribe(self, *_: object) -> None:
        self._ready = True

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload), message.retain))
