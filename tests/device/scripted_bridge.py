"""A stand-in for the bridge, on a real broker, that does what a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.device import JsonObject, JsonValue
from bridge.device.payload import decode
from tests.device.model_bridge import ModelBridge
from tests.support.mosquitto import Mosquitto
from tests.support.sockets import send_at_once

PATIENCE_S = 30.0
"""A test that is right never waits so long, however busy the machine is."""

Decide = Callable[[JsonObject], Mapping[str, JsonValue] | None]
"""Takes a report; returns nothing to take it, `IGNORED`, or members of a refusal's `$`."""

IGNORED: Mapping[str, JsonValue] = {}


def take_it(_report: JsonObject) -> None:
    """Answer as a bridge that has committed the report."""


def ignore_it(_report: JsonObject) -> Mapping[str, JsonValue]:
    """Do nothing, as a bridge that is not there."""
    return IGNORED


class ScriptedBridge:
    """Subscribes below `sync/` with a session that the broker keeps, and answers.

    Attributes:
        decide: How to answer the next reports.
        reports: Every report as it arrived, repeats too.
        presences: Payloads of all presences, in order.
    """

    def __init__(self, broker: Mosquitto, decide: Decide = take_it) -> None:
        self.decide = decide
        self.reports: list[bytes] = []
        self.presences: list[bytes] = []
        self._twins: dict[str, ModelBridge] = {}
        self._broker = broker
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="bridge", clean_session=False
        )
        self._client.on_socket_open = send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)

    @property
    def reported(self) -> dict[str, JsonValue]:
        """What the devices have reported, merged."""
        return {device: twin.reported() for device, twin in self._twins.items()}

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of what has arrived."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), "the bridge waited in vain"

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish anything, and wait until the broker has it."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(PATIENCE_S)

    def want(self, device: str, version: int, **state: JsonValue) -> None:
        """Retain a delta for a device; without a state, clear it."""
        document = {"version": version, "at": 0, "state": state}
        payload = orjson.dumps(document) if state else b""
        self.publish(f"sync/{device}/delta", payload, retain=True)

    def ask_for_everything(self, device: str, **members: JsonValue) -> None:
        """Send a device the request for a resync."""
        self.publish(f"sync/{device}/resync", orjson.dumps({"$": {"id": "r1"}, **members}))

    def __enter__(self) -> ScriptedBridge:
        self._client.connect(self._broker.host, self._broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)
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
        client.subscribe([("sync/+/report", 1), ("sync/+/get/+", 1), ("sync/+/presence", 1)])

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed.set()

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        device, verb, *rest = message.topic.split("/")[1:]
        payload = bytes(message.payload)
        with self._changed:
            if verb == "presence":
                self.presences.append(payload)
            elif verb == "report":
                self._on_report(device, payload)
            else:
                self._on_get(device, rest[0], payload)
            self._changed.notify_all()

    def _on_report(self, device: str, payload: bytes) -> None:
        self.reports.append(payload)
        refusal = self.decide(decode(payload))
        if refusal is None:
            answer = self._twins.setdefault(device, ModelBridge()).answer(payload)
        elif refusal is IGNORED:
            return
        else:
            answer = ModelBridge().refuse(payload, **refusal)
        self._client.publish(f"sync/{device}/reply/{device}", answer, 1)

    def _on_get(self, device: str, requester: str, payload: bytes) -> None:
        metadata = decode(payload)["$"]
        assert isinstance(metadata, dict)
        head: JsonObject = {"id": metadata["id"]}
        answer: JsonObject = {"$": head}
        twin = self._twins.get(device)
        if twin is None:
            head |= {"ok": False, "code": 404, "error": "no_such_twin", "message": "no such twin"}
        else:
            head |= {"ok": True, "version": twin.version, "full": True}
            answer |= {"at": 1, "reported": twin.reported(), "desired": {}}
        self._client.publish(f"sync/{device}/reply/{requester}", orjson.dumps(answer), 1)
