"""A stand-in for the bridge that can be told to do wrong, to see the simulator notice.

It keeps twins in memory, without stamps, tombstones or durability. What has to be shown with the
real bridge is shown with the real bridge, in `test_with_bridge.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.device import Encoding, JsonObject
from device_sim.document import apply_patch, at_path, equal_by_value, leaves, nested, visible
from device_sim.payload import decode, encode
from tests.support.sockets import send_at_once

Tamper = Callable[[str, JsonObject], JsonObject]
"""Takes a device's id and the `reported` to be published; returns what is published."""


@dataclass
class _Twin:
    version: int = 0
    reported: JsonObject = field(default_factory=dict)
    desired: JsonObject = field(default_factory=dict)
    delta: JsonObject = field(default_factory=dict)


class Responder:
    """Answers below `sync/` on a thread of its own, from entering to leaving.

    Args:
        port: Of the broker on 127.0.0.1.
        tamper: Changes what is published.
        deaf_to: Devices whose reports are passed over.

    Attributes:
        publish_deltas: Whether devices are told what is desired.
        not_ready: So many questions for a twin are answered with 503.
        resyncs: After so many reports everything is asked for again.
    """

    def __init__(
        self, port: int, *, tamper: Tamper | None = None, deaf_to: frozenset[str] = frozenset()
    ) -> None:
        self.publish_deltas = True
        self.not_ready = 0
        self.resyncs = 0
        self.twins: dict[str, _Twin] = {}
        self._port = port
        self._tamper = tamper
        self._deaf_to = deaf_to
        self._seen: set[tuple[str, object, object]] = set()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_socket_open = send_at_once
        self._client.on_message = self._received
        self._subscribed = False
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe

    def __enter__(self) -> Responder:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        deadline = time.monotonic() + 10
        while not self._subscribed and time.monotonic() < deadline:
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

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([("sync/+/report", 1), ("sync/+/desire/+", 1), ("sync/+/get/+", 1)])

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True

    def _received(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        _, device, verb, *rest = message.topic.split("/")
        if verb == "report" and device in self._deaf_to:
            return
        document = decode(bytes(message.payload)) or {}
        metadata = document.pop("$", {})
        assert isinstance(metadata, dict)
        encoding: Encoding = "json" if message.payload[:1] == b"{" else "msgpack"
        answer: JsonObject = {"id": metadata.get("id"), "ok": True}
        reply: JsonObject = {"$": answer}
        twin = self.twins.setdefault(device, _Twin())
        before = twin.version
        if verb == "get" and self.not_ready:
            self.not_ready -= 1
            answer |= {"ok": False, "code": 503}
        elif verb == "get":
            reply |= {"reported": self._shown(device, twin), "desired": twin.desired}
            answer["version"] = twin.version
        else:
            self._update(device, verb, twin, document, metadata)
            answer |= {"version": twin.version, "changed": twin.version > before}
        if verb == "report" and self.resyncs:
            self.resyncs -= 1
            client.publish(f"sync/{device}/resync", b'{"reason":"session_lost"}', 1)
        requester = rest[0] if rest else device
        client.publish(f"sync/{device}/reply/{requester}", encode(reply, encoding), 1)

    def _update(
        self, device: str, verb: str, twin: _Twin, patch: JsonObject, metadata: JsonObject
    ) -> None:
        key = (f"{device}/{verb}", metadata.get("boot"), metadata.get("seq"))
        if key in self._seen:
            return
        self._seen.add(key)
        section = twin.reported if verb == "report" else twin.desired
        if metadata.get("full"):
            section.clear()
            patch = visible(patch)
        apply_patch(section, patch)
        twin.version += 1
        self._publish_state(device, twin)
        self._publish_delta(device, twin)

    def _publish_state(self, device: str, twin: _Twin) -> None:
        state: JsonObject = {
            "version": twin.version,
            "at": time.time_ns() // 1000,
            "reported": self._shown(device, twin),
            "desired": twin.desired,
        }
        self._client.publish(f"sync/{device}/state", encode(state, "json"), 1, retain=True)

    def _publish_delta(self, device: str, twin: _Twin) -> None:
        delta: JsonObject = {}
        for path, value in leaves(twin.desired):
            if not equal_by_value(value, at_path(twin.reported, path)):
                apply_patch(delta, nested(path, value))
        if delta == twin.delta or not self.publish_deltas:
            return
        twin.delta = delta
        document: JsonObject = {"version": twin.version, "at": 0, "state": delta}
        payload = encode(document, "json") if delta else b""
        self._client.publish(f"sync/{device}/delta", payload, 1, retain=True)

    def _shown(self, device: str, twin: _Twin) -> JsonObject:
        if self._tamper is None:
            return twin.reported
        return self._tamper(device, twin.reported)
