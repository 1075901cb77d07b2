"""Which version of MQTT the next attempt speaks."""

from __future__ import annotations

from typing import Literal

from bridge.link.base import ProtocolVersion

_OTHER: dict[ProtocolVersion, ProtocolVersion] = {"5": "3.1.1", "3.1.1": "5"}

PATIENCE = 3
"""Unanswered attempts in a row after which a version that has worked before is left.

A broker that is just being stopped closes connections unanswered too, and a bridge that left
MQTT 5 for that would do without it until its next start.
"""


PROBE_TIMEOUT_S = 3.0
"""How long the first attempt in MQTT 5 waits for its CONNACK, whatever the time-out.

amqtt takes the properties of a CONNECT for a very long client id and waits for the rest of it.
Should it have been a broker that is slow, it is spoken to in MQTT 3.1.1 until the next start.
"""


class ProtocolChoice:
    """MQTT 5 first; the other version where a broker does not answer the present one.

    Args:
        wanted: "auto", or the only version to speak.
    """

    def __init__(self, wanted: ProtocolVersion | Literal["auto"]) -> None:
        self.current: ProtocolVersion = "5" if wanted == "auto" else wanted
        self._fixed = wanted != "auto"
        self._has_worked = False
        self._unanswered = 0
        self._both_tried = False

    def answer_timeout_s(self, timeout_s: float) -> float:
        """Return how long to wait for CONNACK, where `timeout_s` is the time-out that is set."""
        is_probe = not (self._fixed or self._has_worked or self._both_tried)
        return min(timeout_s, PROBE_TIMEOUT_S) if is_probe else timeout_s

    def worked(self) -> None:
        """Remember that the broker accepted a connection in the present version."""
        self._has_worked = True
        self._unanswered = 0
        self._both_tried = False

    def unanswered(self, *, version_refused: bool) -> bool:
        """Take note of an attempt that ended without an answer to CONNECT.

        Args:
            version_refused: The broker said that it does not speak this version.

        Returns:
            True if the other version, now the current one, is to be tried at once: the first
            time that this happens. From then on the versions alternate at the usual pace.
        """
        self._unanswered += 1
        patience = PATIENCE if self._has_worked and not version_refused else 1
        if self._fixed or self._unanswered < patience:
            return False
        self.current = _OTHER[self.current]
        self._has_worked = False
        self._unanswered = 0
        first = not self._both_tried
        self._both_tried = True
        return first
