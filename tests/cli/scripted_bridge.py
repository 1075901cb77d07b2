"""A bridge that says what a test tells it to, for answers that a real one does not give at will."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.cli.program import WAIT_S
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import send_at_once

Script = Callable[[str, Mapping[str, object]], list[Mapping[str, object]]]
"""Takes a request's topic and payload, returns the replies."""


class ScriptedBridge:
    """Answers requests below `sync/`, from entering to leaving.

    Args:
        broker: Where it connects to.
        script: What to answer.
        status: What to retain as the bridge's status; None for nothing.

    Attributes:
        requests: Topics and payloads as they came.
    """

    def __init__(
        self, broker: Mosquitto, script: Script, status: Mapping[str, object] | None = None
    ) -> None:
        self.requests: list[tuple[str, Mapping[str, object]]] = []
        self._broker = broker
        self._script = script
        self._status = status
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_socket_open = send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message

    def __enter__(self) -> ScriptedBridge:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        if self._status is not None:
            client.publish("sync/$bridge/status", json.dumps(self._status), qos=1, retain=True)
        client.subscribe([(f"sync/+/{verb}", 1) for verb in ("report", "desire/+", "get/+")])

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        request = json.loads(message.payload)
        self.requests.append((message.topic, request))
        device, verb, *sender = message.topic.split("/")[1:]
        del verb
        for reply in self._script(message.topic, request):
            client.publish(f"sync/{device}/reply/{(sender or [device])[0]}", json.dumps(reply), 1)
