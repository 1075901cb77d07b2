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


class Seal:
    """Seals with a device's key. May be used from several threads.

    Args:
        device_id: The device.
        keys: The key that seals; then others that may have sealed what comes.

    Raises:
        ValueError: There is no key, or one is another device's.
    """

    def __init__(self, device_id: str, keys: Sequence[DeviceKey]) -> None:
        if not keys:
            raise ValueError("sealing: at least one key is needed")
        for key in keys:
            if key.device != device_id:
                raise ValueError(f"sealing: the key is of {key.device}, not of {device_id}")
        self._keys = tuple(keys)
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
        if isinstance(opened, Refusal):
            raise UnreadableError(f"{opened.error}: {opened.message}")
        return opened.payload


def _boot_bytes(boot: str) -> bytes:
    if _SEALED_BOOT.match(boot):
        return bytes.fromhex(boot)
    # A report that waited in the outbox from before the device had a key.
    return hashlib.sha256(boot.encode()).digest()[:BOOT_BYTES]
