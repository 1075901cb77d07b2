"""What an examination has found."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Measured: TypeAlias = bool | int | float | str | None
"""A figure of a finding."""


SESSION_OF_ANOTHER: Final = "session_of_another"
"""Name of the finding after which nothing more may be done with the login."""


class Severity(enum.StrEnum):
    """How bad a finding is."""

    OK = "ok"
    """As it should be."""
    NOTE = "note"
    """Worth knowing; nothing is in danger by it."""
    UNKNOWN = "unknown"
    """It could not be found out; the message says why."""
    WARNING = "warning"
    """Slow, or not as safe as it could be."""
    CRITICAL = "critical"
    """What the broker has acknowledged can be lost or forged."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, and what came of it.

    Attributes:
        check: Its stable name, for programs.
        severity: How bad it is.
        message: What was seen, for people.
        measured: The same as figures.
        mosquitto: What to change in Mosquitto; empty where there is nothing to change.
        emqx: What to change in EMQX; likewise.
    """

    check: str
    severity: Severity
    message: str
    measured: Mapping[str, Measured] = field(default_factory=dict)
    mosquitto: str = ""
    emqx: str = ""

    def document(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "check": self.check,
            "severity": self.severity.value,
            "message": self.message,
            "measured": dict(self.measured),
            "mosquitto": self.mosquitto,
            "emqx": self.emqx,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one examination.

    Attributes:
        broker: The broker's address, as host:port.
        at: When it began, in µs since the epoch, by the clock of this machine.
        findings: In the order in which they were made.
    """

    broker: str
    at: int
    findings: Sequence[Finding]

    @property
    def may_go_on(self) -> bool:
        """The login may be used further: its session is not another's."""
        return all(finding.check != SESSION_OF_ANOTHER for finding in self.findings)

    @property
    def is_critical(self) -> bool:
        """Something is critical."""
        return any(finding.severity is Severity.CRITICAL for finding in self.findings)

    def document(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "broker": self.broker,
            "at": self.at,
            "critical": self.is_critical,
            "findings": [finding.document() for finding in self.findings],
        }
