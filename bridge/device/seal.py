"""The seal of a device: docs/sealed-payloads.md, from the device's side."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from typing import Final

from bridge.core.refusal import Refusal
from bridge.device.events import OutgoingMessage
from bridge.device.kept import SealedReport
from bridge.device.payload import UnreadableError
from bridge.security.frame import BOOT_BYTES
from bridge.security.sealing import DeviceKey, Opener, Sealer

OPENED_BOOTS_KEPT: Final = 64
"""Derived keys for what comes down: a few topics, of this start of the bridge and the last."""

REPORT_BOOTS_KEPT: Final = 8
"""Derived keys for reports: of this process, and of those whose reports an outbox has kept."""

_SEALED_BOOT: Final = re.compile(rf"[0-9a-f]{{{2 * BOOT_BYTES}}}\Z")
_DELTA: Final = "/delta"
_STATE: Final = "/state"


class Seal:
    """Seals with a device's key. May be used from several threads.

    Args:
        device_id: The device.
        keys: The device's key, which seals; then others of it that may have sealed what comes, and
            those of groups that read the states of other devices.

    Raises:
        ValueError: There is no key, or the first one is not the device's own.
    """

    def __init__(self, device_id: str, keys: Sequence[DeviceKey]) -> None:
        if not keys:
            raise ValueError("sealing: at least one key is needed")
        first = keys[0].device
        if first != device_id:
            raise ValueError(f"sealing: the first key is of {first}, not of {device_id}")
        self._keys = tuple(key for key in keys if key.device == device_id)
        self._own_levels = f"/{device_id}/"
        # Each group by itself: key ids are told apart within one name only.
        self._of_groups = [
            tuple(key for key in keys if key.device == group)
            for group in dict.fromkeys(key.device for key in keys)
            if group != device_id
        ]
        self._lock = threading.Lock()
        self._sealers: dict[str, Sealer] = {}
        self._of_reports: dict[tuple[str, str], Sealer] = {}
        self._opener = Opener(OPENED_BOOTS_KEPT)

    def report(self, topic: str, report: SealedReport) -> OutgoingMessage:
        """Seal a report under its own boot and number, which it keeps: so the bytes stay."""
        with self._lock:
            place = (topic, report.boot)
            sealer = self._of_reports.get(place)
            if sealer is None:
                while len(self._of_reports) >= REPORT_BOOTS_KEPT:
                    del self._of_reports[next(iter(self._of_reports))]
                sealer = Sealer(self._keys[0], "up", topic, _boot_bytes(report.boot))
                self._of_reports[place] = sealer
            return OutgoingMessage(topic, sealer.seal_numbered(report.seq, report.payload))

    def close(self, message: OutgoingMessage) -> OutgoingMessage:
        """Seal a message with the next number on its topic."""
        with self._lock:
            sealer = self._sealers.get(message.topic)
            if sealer is None:
                sealer = self._sealers[message.topic] = Sealer(self._keys[0], "up", message.topic)
            return message._replace(payload=sealer.seal(message.payload))

    def open(self, topic: str, payload: bytes) -> bytes:
        """Open what has arrived; an empty delta says only that none is retained.

        Raises:
            UnreadableError: It was not sealed by the bridge for this device and this topic.
        """
        if not payload and topic.endswith(_DELTA):
            return payload
        opened = self._opener.open(payload, self._keys, "down", topic)
        if isinstance(opened, Refusal) and self._is_of_another(topic):
            by_groups = (
                self._opener.open(payload, keys, "down", topic) for keys in self._of_groups
            )
            opened = next((by for by in by_groups if not isinstance(by, Refusal)), opened)
        if isinstance(opened, Refusal):
            raise UnreadableError(f"{opened.error}: {opened.message}")
        return opened.payload

    def _is_of_another(self, topic: str) -> bool:
        """Tell whether a topic is the state of another device, and so all that a group may seal.

        Any member of a group could have sealed it. What a device does follows from its own topics:
        also of its own state it takes the version for what it has seen.
        """
        return topic.endswith(_STATE) and self._own_levels not in topic


def _boot_bytes(boot: str) -> bytes:
    if _SEALED_BOOT.match(boot):
        return bytes.fromhex(boot)
    # A report that waited in the outbox from before the device had a key.
    return hashlib.sha256(boot.encode()).digest()[:BOOT_BYTES]
