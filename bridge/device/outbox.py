"""Reports on their way: what waits to be sent, and what was sent and waits for its reply.

A report is *pending* until there is room for it in the window, and composed with the one before
it where that is exact. Then it is *sealed*: it gets its `seq`, its bytes never change again, and
it is kept until the bridge has answered. Only where the bridge has closed its boot it gets another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.core.limits import Limits
from bridge.device.kept import Journal, Restored, SealedReport, WaitingPatch
from bridge.device.patch import can_compose, checked, compose_into, count_keys
from bridge.device.payload import METADATA_KEY, Encoding, JsonObject, decode, encode
from bridge.device.reported import Reported
from bridge.device.retry import Retry
from bridge.errors import OutboxFull

METADATA_BYTES = 256
"""Room that `$` takes in a payload: id, boot, seq, seen and full, with boots of 32 characters."""

OUTBOX_BYTES = 8 * 1024 * 1024
"""Bytes of all reports in an outbox: what a small computer can spare while the bridge is away."""

_REMEASURE_BYTES = 4096
"""A composed patch is measured again when its bound has doubled, but not below this."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """A sealed report, the numbers of the `report()` calls that it carries, and its retries."""

    report: SealedReport
    calls: range
    retry: Retry


@dataclass(slots=True)
class _Pending:
    """A patch without a `seq`, with upper bounds on its size and on its number of keys."""

    patch: JsonObject
    full: bool
    seen: int
    calls: range
    since: float
    size_bytes: int
    keys: int
    accepted: int = 1
    measured_bytes: int = 0

    def measure(self, encoding: Encoding) -> None:
        self.size_bytes = self.measured_bytes = len(encode(self.patch, encoding))
        self.keys = count_keys(self.patch)

    def waiting(self) -> WaitingPatch:
        return WaitingPatch(self.patch, self.full, self.seen)


class Outbox:
    """All reports of one process, and those that earlier ones left.

    Args:
        boot: This process's boot, to begin with.
        window: Reports in flight at most. The bridge remembers 16 open gaps per boot, so a
            window below that is never mistaken for a loss, whatever order messages take.
        capacity: Reports in the outbox at most, pending and in flight.
        encoding: Of the reports.
        limits: The bridge's bounds on a payload.
        journal: Where to keep everything over a restart, if anywhere.
        restored: What the journal had.
    """

    def __init__(
        self,
        boot: str,
        *,
        window: int,
        capacity: int,
        encoding: Encoding,
        limits: Limits,
        journal: Journal | None = None,
        restored: Restored = Restored(),  # noqa: B008 (immutable)
    ) -> None:
        self._boot = boot
        self._window = window
        self._capacity = capacity
        self._encoding = encoding
        self._limits = limits
        self._patch_bytes = limits.payload_bytes - METADATA_BYTES
        self._journal = journal
        self._reported = Reported(self._patch_bytes)
        self._in_flight: dict[str, InFlight] = {}
        self._pending: deque[_Pending] = deque()
        self._size_bytes = 0
        self._last_seq = 0
        self._calls = 0
        self._restore(restored)

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._pending)

    def add(self, patch: Mapping[str, object], now: float, *, full: bool, seen: int = 0) -> int:
        """Take a patch.

        What it is composed with keeps its own `seen`: nobody has seen more when that was decided.

        Returns:
            The number of this call, from 0.

        Raises:
            ValueError: No bridge takes it.
            OutboxFull: There is no room; nothing was taken.
            JournalError: It could not be written; nothing was taken.
        """
        new = self._new_pending(WaitingPatch(checked(patch, self._limits), full, seen), now)
        joins = self._composable(new)
        self._check_room(new, joins=joins)
        self._rewrite_if_due()
        if self._journal is not None:
            self._journal.accepted(new.waiting())
        # A full one takes over the calls of what it replaces.
        call = new.calls.start
        self._append(new, joins=joins)
        return call

    def seal(self, now: float) -> None:
        """Give every pending report that fits into the window its `seq` and its bytes.

        A boot's first report goes out only when all of the boot before are answered: the bridge
        orders boots by the arrival of their first message.
        """
        sealed: list[tuple[SealedReport, int]] = []
        while self._may_seal():
            pending = self._pending.popleft()
            report = self._seal(pending)
            self._in_flight[report.request_id] = InFlight(report, pending.calls, Retry(now))
            sealed.append((report, pending.accepted))
            self._size_bytes += len(report.payload) - pending.size_bytes
        if sealed and self._journal is not None:
            self._journal.sealed(sealed)
            self._rewrite_if_due()

    def in_flight(self) -> list[InFlight]:
        """Return the reports of the window, in the order in which they were sealed."""
        return list(self._in_flight.values())[: self._window]

    def due(self, now: float) -> list[InFlight]:
        """Return those of the window that are to be sent now."""
        return [entry for entry in self.in_flight() if entry.retry.due <= now]

    def retries(self) -> list[Retry]:
        """Return when each report in flight is due."""
        return [entry.retry for entry in self._in_flight.values()]

    def find(self, request_id: str) -> InFlight | None:
        """Return the report in flight with this `$.id`."""
        return self._in_flight.get(request_id)

    def waits_for(self, call: int) -> bool:
        """Tell whether the report of this call is unanswered."""
        in_flight = any(call in entry.calls for entry in self._in_flight.values())
        return in_flight or any(call in pending.calls for pending in self._pending)

    def send_again(self, boot: str, missing: Sequence[tuple[int, int]], now: float) -> bool:
        """Make reports due, given by runs of their numbers, if all of them are in flight."""
        if sum(last - first + 1 for first, last in missing) > len(self._in_flight):
            return False
        ids = [f"{boot}.{seq}" for first, last in missing for seq in range(first, last + 1)]
        if any(request_id not in self._in_flight for request_id in ids):
            return False
        for request_id in ids:
            self._in_flight[request_id].retry.start_anew(now)
        return True

    def begin_anew(self, closed: str, boot: str, now: float) -> int:
        """Give reports new numbers in another boot, because theirs was closed; all are due.

        Args:
            closed: The boot that the bridge does not take any more, this process's or an earlier
                one's.
            boot: This process's boot from now on.
            now: The time.

        Returns:
            How many there are.
        """
        before = [entry for entry in self._in_flight.values() if entry.report.boot == closed]
        moved = {entry.report.seq: (entry.report.payload, entry.calls) for entry in before}
        if boot != self._boot:
            # What was answered behind one that was not: else that would cover it now.
            early = self._reported.begin_anew()
            moved |= {seq: (payload, range(0)) for seq, payload in early.items()}
            self._boot, self._last_seq = boot, 0
        for entry in before:
            del self._in_flight[entry.report.request_id]
        again = [
            InFlight(self._renumbered(payload), calls, Retry(now))
            for _, (payload, calls) in sorted(moved.items())
        ]
        self._in_flight = {entry.report.request_id: entry for entry in again} | self._in_flight
        self._size_bytes += _size_bytes(again) - _size_bytes(before)
        self._note_renumbered(before, again)
        return len(again)

    def everything(self) -> WaitingPatch | None:
        """Return what this boot has reported as one patch, except what the bridge has refused.

        It is full where that is all that the twin should have. None if it has reported nothing.
        """
        said = self._reported.with_unanswered(
            {
                entry.report.seq: entry.report.payload
                for entry in self._in_flight.values()
                if entry.report.boot == self._boot
            },
            [(pending.patch, pending.full) for pending in self._pending],
        )
        return WaitingPatch(*said) if said is not None else None

    def settle(self, request_id: str, *, taken: bool = True) -> None:
        """Take a report out, because it was answered: the bridge has taken it, or refused it."""
        done = self._in_flight.pop(request_id)
        self._size_bytes -= len(done.report.payload)
        if done.report.boot == self._boot:
            self._reported.answered(done.report.seq, done.report.payload if taken else None)
        if self._journal is not None:
            self._journal.settled(done.report)
            self._rewrite_if_due()

    def sealable_since(self) -> float | None:
        """Return since when a pending report could be sealed; None where none can be."""
        return self._pending[0].since if self._may_seal() else None

    def _restore(self, restored: Restored) -> None:
        for report in restored.sealed:
            self._in_flight[report.request_id] = InFlight(report, range(0), Retry(0.0))
            self._size_bytes += len(report.payload)
        for waiting in restored.pending:
            new = self._new_pending(waiting, 0.0)
            new.calls = range(0)
            self._append(new, joins=self._composable(new))

    def _new_pending(self, waiting: WaitingPatch, now: float) -> _Pending:
        calls = range(self._calls, self._calls + 1)
        pending = _Pending(*waiting, calls, now, size_bytes=0, keys=0)
        pending.measure(self._encoding)
        if pending.size_bytes > self._patch_bytes:
            raise ValueError(
                f"the patch has {pending.size_bytes} bytes, and a bridge takes "
                f"{self._patch_bytes}; report in parts"
            )
        return pending

    def _composable(self, new: _Pending) -> bool:
        """Tell whether a patch can join what waits: the last report, or, if it is full, all."""
        if not self._pending:
            return False
        if new.full:
            return True
        last = self._pending[-1]
        if not can_compose(last.patch, new.patch):
            return False
        if last.size_bytes + new.size_bytes > self._patch_bytes or (
            last.keys + new.keys > self._limits.keys
        ):
            self._remeasure(last)
        return (
            last.size_bytes + new.size_bytes <= self._patch_bytes
            and last.keys + new.keys <= self._limits.keys
        )

    def _check_room(self, new: _Pending, *, joins: bool) -> None:
        reports = len(self._in_flight) if new.full else len(self)
        if reports + (0 if joins and not new.full else 1) > self._capacity:
            raise OutboxFull(
                f"{reports} reports wait for their reply, and capacity is {self._capacity}",
                hint="check that a bridge runs and may be reached, or raise capacity",
            )
        size_bytes = self._size_bytes + new.size_bytes
        if new.full:
            size_bytes -= sum(pending.size_bytes for pending in self._pending)
        if size_bytes > OUTBOX_BYTES:
            raise OutboxFull(
                f"reports of {self._size_bytes} bytes wait for their reply, and "
                f"OUTBOX_BYTES is {OUTBOX_BYTES}",
                hint="check that a bridge runs and may be reached",
            )

    def _append(self, new: _Pending, *, joins: bool) -> None:
        self._calls = max(self._calls, new.calls.stop)
        self._size_bytes += new.size_bytes
        if not joins:
            self._pending.append(new)
        elif new.full:
            self._replace_pending(new)
        else:
            self._compose_last(new)

    def _replace_pending(self, new: _Pending) -> None:
        """Put a whole section in the place of every patch that waits before it."""
        first = self._pending[0]
        new.calls = range(first.calls.start, new.calls.stop) if first.calls else new.calls
        new.since = first.since
        new.accepted += sum(pending.accepted for pending in self._pending)
        self._size_bytes -= sum(pending.size_bytes for pending in self._pending)
        self._pending.clear()
        self._pending.append(new)

    def _compose_last(self, new: _Pending) -> None:
        last = self._pending[-1]
        compose_into(last.patch, new.patch)
        last.calls = range(last.calls.start, new.calls.stop) if last.calls else new.calls
        last.accepted += new.accepted
        last.size_bytes += new.size_bytes
        last.keys += new.keys
        if last.size_bytes > max(2 * last.measured_bytes, _REMEASURE_BYTES):
            self._remeasure(last)

    def _remeasure(self, pending: _Pending) -> None:
        self._size_bytes -= pending.size_bytes
        pending.measure(self._encoding)
        self._size_bytes += pending.size_bytes

    def _may_seal(self) -> bool:
        return (
            bool(self._pending)
            and len(self._in_flight) < self._window
            and all(entry.report.boot == self._boot for entry in self._in_flight.values())
        )

    def _seal(self, pending: _Pending) -> SealedReport:
        metadata: JsonObject = {}
        if pending.seen:
            metadata["seen"] = pending.seen
        if pending.full:
            metadata["full"] = True
        return self._numbered(pending.patch, metadata)

    def _numbered(self, patch: JsonObject, more: JsonObject) -> SealedReport:
        """Return a report with the next number of this boot."""
        self._last_seq += 1
        boot, seq = self._boot, self._last_seq
        metadata: JsonObject = {"id": f"{boot}.{seq}", "boot": boot, "seq": seq, **more}
        return SealedReport(boot, seq, encode({**patch, METADATA_KEY: metadata}, self._encoding))

    def _renumbered(self, payload: bytes) -> SealedReport:
        patch = decode(payload)
        before = patch.pop(METADATA_KEY)
        more = before if isinstance(before, dict) else {}
        return self._numbered(
            patch, {name: more[name] for name in ("seen", "full") if name in more}
        )

    def _note_renumbered(self, before: Sequence[InFlight], again: Sequence[InFlight]) -> None:
        """Keep reports under their new numbers, in one step if that can be."""
        journal = self._journal
        if journal is None or self._rewrite(journal):
            return
        journal.sealed([(entry.report, 0) for entry in again])
        for entry in before:
            journal.settled(entry.report)

    def _rewrite_if_due(self) -> None:
        if self._journal is not None and self._journal.wants_rewrite():
            self._rewrite(self._journal)

    def _rewrite(self, journal: Journal) -> bool:
        kept = Restored(
            [entry.report for entry in self._in_flight.values()],
            [pending.waiting() for pending in self._pending],
        )
        if not journal.rewrite(kept):
            return False
        for pending in self._pending:
            pending.accepted = 1
        return True


def _size_bytes(entries: Sequence[InFlight]) -> int:
    return sum(len(entry.report.payload) for entry in entries)
