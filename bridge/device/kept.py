"""What an outbox keeps over a restart of its process, and where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bridge.device.payload import JsonObject


class SealedReport(NamedTuple):
    """A report with its final bytes."""

    boot: str
    seq: int
    payload: bytes

    @property
    def request_id(self) -> str:
        """The `$.id` by which its reply is recognised, also after a restart."""
        return f"{self.boot}.{self.seq}"


class WaitingPatch(NamedTuple):
    """A patch that has no `seq` yet.

    Attributes:
        patch: What has changed.
        full: It is everything.
        seen: The version of the twin that its writer knew; 0 where it knew none.
    """

    patch: JsonObject
    full: bool
    seen: int = 0


class Restored(NamedTuple):
    """What a journal has kept of earlier processes: sealed reports, then pending patches."""

    sealed: Sequence[SealedReport] = ()
    pending: Sequence[WaitingPatch] = ()


class Journal(Protocol):
    """Where an outbox is kept over a restart of the process."""

    def accepted(self, waiting: WaitingPatch) -> None:
        """Keep a patch, durably on return.

        Raises:
            JournalError: It could not be written; nothing was kept.
        """

    def sealed(self, reports: Sequence[tuple[SealedReport, int]]) -> None:
        """Keep sealed reports, durably on return, each in place of the n oldest patches."""

    def settled(self, report: SealedReport) -> None:
        """Forget a report. May be lost in a crash: then it is sent again, which is harmless."""

    def wants_rewrite(self) -> bool:
        """Tell whether the file has grown so large that `rewrite` is worth its cost."""

    def rewrite(self, kept: Restored) -> bool:
        """Replace everything by what is still waiting; False if that failed."""
