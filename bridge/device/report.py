"""What `Device.report` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from bridge.device.events import ReportRefused
from bridge.device.waiters import Waiters
from bridge.errors import Refused


@dataclass(frozen=True, slots=True)
class Answer:
    """A report has taken effect, durably.

    Attributes:
        version: The twin's version afterwards.
        changed: The twin is different from before.
        duplicate: The bridge had it already: an earlier reply was lost.
        superseded: None of it took effect, because what is there stays.
    """

    version: int
    changed: bool
    duplicate: bool
    superseded: bool


class Report:
    """One call of `Device.report`, on its way. It need not be kept: it is sent all the same.

    Several calls may travel as one report, and then have one answer.
    """

    __slots__ = ("__weakref__", "_outcome", "_waiters")

    def __init__(self, waiters: Waiters) -> None:
        self._waiters = waiters
        self._outcome: Answer | ReportRefused | None = None

    @property
    def answered(self) -> bool:
        """True once the bridge has answered, be it with a refusal."""
        return self._outcome is not None

    def wait(self, timeout_s: float | None = None) -> Answer:
        """Wait for the bridge's answer.

        Raises:
            Refused: The bridge has refused the report; it is not sent again.
            NotAnswered: There was no answer in time, or the device was closed. Unless it was,
                the report is still on its way.
        """
        with self._waiters.changed:
            self._waiters.wait_for(lambda: self.answered, timeout_s, "a report was not answered")
            outcome = self._outcome
        if isinstance(outcome, ReportRefused):
            raise Refused(outcome.code, outcome.error, outcome.message)
        return cast("Answer", outcome)

    def settle(self, outcome: Answer | ReportRefused) -> None:
        """Enter the answer, with the device's lock held. For the library itself."""
        self._outcome = outcome
