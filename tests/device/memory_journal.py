"""A journal in memory that forgets, at a crash, what was not made durable."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.device import journal_lines
from bridge.device.kept import Restored, SealedReport, WaitingPatch


class MemoryJournal:
    """As `bridge.device.journal.FileJournal`, without the file.

    Attributes:
        rewrite_bytes: Where it wants to be rewritten.
        is_full: It cannot be.
    """

    def __init__(self, *, rewrite_bytes: int = 250) -> None:
        self.rewrite_bytes = rewrite_bytes
        self.is_full = False
        self._durable = journal_lines.header_line("sync/lamp-1/report")
        self._volatile = b""

    def crash(self, kept_bytes: int) -> Restored:
        """Lose all but so much of what was not durable; return what the next process reads."""
        self._durable += self._volatile[:kept_bytes]
        self._volatile = b""
        restored = journal_lines.read(self._durable).restored
        self.is_full = False
        self.rewrite(restored)
        return restored

    def accepted(self, waiting: WaitingPatch) -> None:
        """Keep a patch."""
        self._write(journal_lines.accepted_line(waiting))

    def sealed(self, reports: Sequence[tuple[SealedReport, int]]) -> None:
        """Keep reports."""
        for report, covers in reports:
            self._write(journal_lines.sealed_line(report, covers))

    def settled(self, report: SealedReport) -> None:
        """Forget a report, perhaps."""
        self._volatile += journal_lines.settled_line(report)

    def wants_rewrite(self) -> bool:
        """Tell whether it has grown."""
        return len(self._durable) + len(self._volatile) > self.rewrite_bytes

    def rewrite(self, kept: Restored) -> bool:
        """Start anew."""
        if self.is_full:
            return False
        self._durable = journal_lines.header_line("sync/lamp-1/report")
        self._volatile = b""
        for report in kept.sealed:
            self._write(journal_lines.sealed_line(report, 0))
        for waiting in kept.pending:
            self._write(journal_lines.accepted_line(waiting))
        return True

    def _write(self, line: bytes) -> None:
        self._durable += self._volatile + line
        self._volatile = b""
