"""The simulated application: desires changes, and repeats them until the bridge has answered."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.device import Encoding, JsonObject
from device_sim.document import leaves
from device_sim.payload import decode, encode
from device_sim.plan import WRITER, DesiredChange
from device_sim.wire import Client, Connection, Note

RETRY_AFTER_S = 5.0
"""An unanswered change is published again after this."""

UNANSWERED_MAX = 1_000
"""Changes that wait for an answer; while there are so many, further ones are left out."""

_TRY_LATER = frozenset({429, 503})
"""Refusals that are not final: too fast, and not ready."""


@dataclass(slots=True)
class ChangeCounts:
    """What became of the desired changes.

    Attributes:
        sent: Changes published.
        acknowledged: Replies with ok.
        refused: Replies without.
        left_out: Planned and not published, because too many were unanswered.
    """

    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    left_out: int = 0


@dataclass(slots=True)
class _Waiting:
    change: DesiredChange
    message: Note
    due: float


class Application:
    """Publishes to `{prefix}/{device}/desire/simulator`.

    Args:
        prefix: Of all topics.
        boots: This application's boot id for each device.
        encoding: Of its payloads.
        clock: Seconds of a clock that never goes back.
        touched: Called with the device's id when an answer has arrived.

    Attributes:
        counts: What became of the changes.
        acknowledged_versions: The twin's version after the last acknowledged change, by device.
        set_fields: How many acknowledged changes set a field, by device and path.
        last_refusal: Why a change was refused, empty if none was.
    """

    def __init__(
        self,
        prefix: str,
        boots: Mapping[str, str],
        encoding: Encoding,
        *,
        clock: Callable[[], float],
        touched: Callable[[str], None],
    ) -> None:
        self.counts = ChangeCounts()
        self.acknowledged_versions: dict[str, int] = {}
        self.set_fields: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.last_refusal = ""
        self._prefix = prefix
        self._boots = boots
        self._encoding: Encoding = encoding
        self._clock = clock
        self._touched = touched
        self._last_seq: Counter[str] = Counter()
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_for: Counter[str] = Counter()
        self._client_id = f"device-sim-application-{secrets.token_hex(4)}"
        self._connection: Connection | None = None

    def client(self) -> Client:
        """Return how to connect."""
        return Client(self._client_id, ((f"{self._prefix}/+/reply/{WRITER}", 1),), self._received)

    def up(self, connection: Connection) -> None:
        """Publish everything that is unanswered."""
        self._connection = connection
        for waiting in self._waiting.values():
            self._publish(waiting)

    def down(self) -> None:
        """Wait for the next connection."""
        self._connection = None

    def desire(self, change: DesiredChange) -> None:
        """Publish a change."""
        if len(self._waiting) >= UNANSWERED_MAX:
            self.counts.left_out += 1
            return
        device = change.device
        self._last_seq[device] += 1
        boot, seq = self._boots[device], self._last_seq[device]
        request_id = f"{boot}.{seq}"
        payload: JsonObject = {**change.patch, "$": {"id": request_id, "boot": boot, "seq": seq}}
        message = Note(change.topic(self._prefix), encode(payload, self._encoding))
        waiting = _Waiting(change, message, 0.0)
        self._waiting[request_id] = waiting
        self._waiting_for[device] += 1
        self.counts.sent += 1
        self._publish(waiting)

    def flush(self) -> None:
        """Publish again what has been unanswered for long."""
        now = self._clock()
        for waiting in self._waiting.values():
            if waiting.due <= now:
                self._publish(waiting)

    @property
    def unanswered(self) -> int:
        """Changes that wait for an answer."""
        return len(self._waiting)

    def waits_for(self, device: str) -> bool:
        """Tell whether a change of this device is unanswered."""
        return self._waiting_for[device] > 0

    def _publish(self, waiting: _Waiting) -> None:
        if self._connection is not None:
            waiting.due = self._clock() + RETRY_AFTER_S
            self._connection.publish(waiting.message)

    def _received(self, topic: str, payload: bytes) -> None:  # noqa: ARG002
        metadata = (decode(payload) or {}).get("$")
        if not isinstance(metadata, dict):
            return
        request_id = str(metadata.get("id"))
        waiting = self._waiting.get(request_id)
        if waiting is None or metadata.get("code") in _TRY_LATER:
            return
        del self._waiting[request_id]
        device = waiting.change.device
        self._waiting_for[device] -= 1
        version = metadata.get("version")
        if metadata.get("ok") is True and isinstance(version, int):
            self.counts.acknowledged += 1
            self.acknowledged_versions[device] = version
            self.set_fields.update((device, path) for path, _ in leaves(waiting.change.patch))
        else:
            self.counts.refused += 1
            self.last_refusal = (
                f"{metadata.get('code')} {metadata.get('error')}: {metadata.get('message')}"
            )
        self._touched(device)
