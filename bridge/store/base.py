"""The store: the one interface to the authoritative state, whatever holds it.

A store keeps bytes. What they mean is known to `bridge.core` (twins) and `bridge.store.codec`
(their encoding), so that queries and republishing never decode.

All methods block, and are called from one thread at a time. Every implementation passes the
contract suite in `tests/store/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from bridge.core.topics import TwinKey
from bridge.query.terms import Term
from bridge.store.audit import ALL_ACTS, AuditFilter, AuditRow
from bridge.store.claims import Claims
from bridge.store.device_keys import DeviceKeys
from bridge.store.dictionaries import DictionaryStore
from bridge.store.fleet_changes import FleetChangeStore, TargetNote
from bridge.store.quarantined import EVERYTHING, QuarantinedMessage, QuarantineFilter
from bridge.store.sealed_windows import SealedPlace, SealedWindow
from bridge.store.tokens import StoredToken


class StoredTwin(NamedTuple):
    """One twin as it is kept.

    Attributes:
        key: Device and name.
        revision: +1 for every commit of the twin, also where the version stays; 1 for the first.
            What marks as published leaves it as it is.
        version: The twin's version.
        published_version: The newest version that the broker has acknowledged; never above it.
        exists: False before the first report and after a deletion.
        at: The bridge's time of the version, in µs since the epoch.
        state: The JSON that is (or will be) retained on `state`.
        delta: The JSON that is (or will be) retained on `delta`, or None where it is cleared.
        internals: Registers, writers and the rest, as `bridge.store.codec` encodes them.
    """

    key: TwinKey
    revision: int
    version: int
    published_version: int
    exists: bool
    at: int
    state: bytes
    delta: bytes | None
    internals: bytes


class HistoryRow(NamedTuple):
    """One change of one twin. `patch` and `previous` are JSON merge patches, forth and back."""

    key: TwinKey
    version: int
    at: int
    stamp: int
    writer: str
    section: str
    patch: bytes
    previous: bytes


class HistoryBlock(NamedTuple):
    """The changes of one twin in one commit.

    Attributes:
        key: The twin.
        version: Of the oldest of them.
        at: When the newest of them was made, in µs since the epoch.
        changes: As `bridge.store.history_codec` encodes them.
    """

    key: TwinKey
    version: int
    at: int
    changes: bytes


class ConflictRow(NamedTuple):
    """A concurrent write that was lost, and what stands in its place.

    Attributes:
        key: The twin.
        version: The twin's version after the message that brought the two together.
        at: When that was, in µs since the epoch.
        section: reported or desired.
        path: JSON array of the keys that lead to the contested value.
        policy: The policy that decided.
        kept: JSON of what stands there now; null is a removal.
        kept_by: Its writer.
        kept_stamp: Its stamp, in µs.
        lost: JSON of what does not stand there; null is a removal.
        lost_by: Its writer.
        lost_stamp: Its stamp, in µs.
    """

    key: TwinKey
    version: int
    at: int
    section: str
    path: bytes
    policy: str
    kept: bytes
    kept_by: str
    kept_stamp: int
    lost: bytes
    lost_by: str
    lost_stamp: int


@dataclass(frozen=True, slots=True)
class CommitBatch:
    """What one transaction writes.

    Attributes:
        twins: New content of twins, each once; `revision` is one above the one that was loaded
            (1 where there was none) and `version` not below it. Their `published_version` counts
            only for new ones: afterwards marks alone raise it.
        history: Their changes, one at most for each version, and one block for each twin.
        quarantined: Refused messages.
        published: (key, version): the broker acknowledged that version.
        conflicts: Writes that were lost, the oldest first; their twins are kept or in `twins`.
        windows: What was received of sealed messages.
        proven_keys: Device and key id, and when in µs: a device has used a key for the first time.
        acts: What was done, for the audit trail, the oldest first.
        targets: What fleet changes have done to twins of the batch.
    """

    twins: Sequence[StoredTwin] = ()
    history: Sequence[HistoryBlock] = ()
    quarantined: Sequence[QuarantinedMessage] = ()
    published: Sequence[tuple[TwinKey, int]] = ()
    conflicts: Sequence[ConflictRow] = ()
    windows: Sequence[SealedWindow] = ()
    proven_keys: Sequence[tuple[str, int, int]] = ()
    acts: Sequence[AuditRow] = ()
    targets: Sequence[TargetNote] = ()


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds on what a store keeps beside the twins themselves.

    Attributes:
        history_changes: Changes kept per twin; older ones go first. A store may prune lazily and
            hold up to 64 more, and what was committed together with the oldest.
        history_age_us: Changes older than this go as well.
        quarantine_messages: Quarantined messages kept; the oldest go first.
        quarantine_bytes: Sum of their payloads.
        quarantine_payload_bytes: Kept of one payload, from its beginning; 0 keeps none.
        conflicts: Entries of the conflict log kept per twin; the oldest go first. Enough to see
            who writes against whom; more of them say the same again.
        audit_acts: Acts kept in the audit trail: so many of clients, and so many of administrators.
    """

    history_changes: int = 1000
    history_age_us: int = 30 * 86_400 * 1_000_000
    quarantine_messages: int = 10_000
    quarantine_bytes: int = 64 * 1024 * 1024
    quarantine_payload_bytes: int = 64 * 1024
    conflicts: int = 100
    audit_acts: int = 10_000


class Store(Protocol):
    """The authoritative store.

    Every method may raise `StoreUnavailable` (nothing of the call took effect and it may be
    called again) or `StoreCorrupt`.

    `check`, `backup`, `export` and `find` take long. They may be called from a thread of their
    own beside the others: each reads the store as it was at the call and holds nobody up. `close`
    ends them.

    Pages come in an order of the store's own that does not change. `after` is the key of the last
    twin of the page before, or None for the first page; an empty page is the end.
    """

    @property
    def device_keys(self) -> DeviceKeys:
        """Keys of devices, wrapped."""

    @property
    def claims(self) -> Claims:
        """Claims for enrolment, and the bridge's identity."""

    @property
    def fleet_changes(self) -> FleetChangeStore:
        """Fleet changes, and what became of their devices."""

    @property
    def dictionaries(self) -> DictionaryStore:
        """Dictionaries for compression."""

    def sealed_windows(
        self, places: Sequence[SealedPlace]
    ) -> tuple[dict[SealedPlace, SealedWindow], dict[tuple[str, int], int]]:
        """Return those of the windows that are kept.

        Returns:
            The windows; and for each key of which one was not found, as device and key id, how
            many it has.
        """

    def load(self, keys: Sequence[TwinKey]) -> dict[TwinKey, StoredTwin]:
        """Return those of the twins that are kept, in one round trip."""

    def commit(self, batch: CommitBatch) -> frozenset[TwinKey]:
        """Write all of the batch, durably, or nothing.

        Returns:
            The twins whose kept revision was not the expected one. Where there are any, nothing
            was written: load them again and reconcile anew.
        """

    def mark_published(self, marks: Sequence[tuple[TwinKey, int]]) -> None:
        """Raise `published_version` to the given versions, durably.

        It never lowers it, and raises it to the twin's `version` at most.
        """

    def unpublished(self, after: TwinKey | None, limit: int) -> list[StoredTwin]:
        """Page through the twins with `published_version` < `version`."""

    def changed_since(self, at: int, after: TwinKey | None, limit: int) -> list[StoredTwin]:
        """Page through the twins with `version` > 0 and `at` ≥ the given time.

        Deleted ones too: their retained topics have to be cleared again.
        """

    def history(self, key: TwinKey, below_version: int | None, limit: int) -> list[HistoryRow]:
        """Return changes of a twin, the newest first."""

    def conflicts(
        self, key: TwinKey | None, before: int | None, limit: int
    ) -> list[tuple[int, ConflictRow]]:
        """Return entries of the conflict log, the newest first, each with its id.

        Args:
            key: The twin; None for those of all twins.
            before: Only entries with a lower id than this: the last one of the page before.
            limit: At most so many.
        """

    def quarantine(
        self,
        limit: int,
        before: int | None = None,
        wanted: QuarantineFilter = EVERYTHING,
        payload_bytes: int | None = None,
    ) -> list[QuarantinedMessage]:
        """Return quarantined messages, the newest first.

        Args:
            limit: At most so many.
            before: Only those with a lower id than this: the last one of the page before.
            wanted: Which.
            payload_bytes: At most so much of each payload; None for all that is kept.
        """

    def quarantined(self, message_id: int) -> QuarantinedMessage | None:
        """Return one quarantined message, None where there is none of that id."""

    def count_quarantine(self, wanted: QuarantineFilter) -> tuple[int, int]:
        """Return how many messages there are, and the bytes of their payloads that are kept."""

    def clear_quarantine(
        self, wanted: QuarantineFilter, limit: int, act: AuditRow | None = None
    ) -> int:
        """Delete the oldest messages, so many at most, durably; returns how many.

        Where an act is given, the same transaction writes it into the audit trail.
        """

    def record(self, acts: Sequence[AuditRow]) -> None:
        """Write acts into the audit trail, durably: before they take effect."""

    def audit(
        self, limit: int, before: int | None = None, wanted: AuditFilter = ALL_ACTS
    ) -> list[AuditRow]:
        """Return acts of the audit trail, the newest first.

        Args:
            limit: At most so many.
            before: Only those with a lower id than this: the last one of the page before.
            wanted: Which.
        """

    def metadata(self) -> Mapping[str, str]:
        """Return the store's own small facts: `instance`, `created_at`, and what was set."""

    def set_metadata(self, name: str, value: str) -> None:
        """Keep one small fact, durably."""

    def twin_names(self, device: str) -> list[str]:
        """Return the names of a device's named twins, deleted ones that are remembered too."""

    def count_twins(self) -> int:
        """Return how many twins exist."""

    def list_keys(
        self, after: TwinKey | None, limit: int, *, descending: bool = False
    ) -> list[TwinKey]:
        """Page through the keys of all twins by device and name, deleted ones too."""

    def add_token(self, token: StoredToken, act: AuditRow | None = None) -> bool:
        """Keep a token of the HTTP API, durably; False where there are too many.

        Where an act is given, the same transaction writes it into the audit trail.
        """

    def list_tokens(self) -> list[StoredToken]:
        """Return all tokens, the newest first."""

    def find_token(self, token_id: str) -> StoredToken | None:
        """Return a token by its id, or None."""

    def revoke_token(self, token_id: str, act: AuditRow | None = None) -> bool:
        """Delete a token, durably; False where there is none of that id; as `add_token`."""

    def sample_states(self, count: int) -> list[tuple[TwinKey, bytes]]:
        """Return at most so many twins' states, spread over all; may be called in any thread."""

    def check(self) -> list[str]:
        """Verify the whole store; returns what is wrong, one line each, or nothing."""

    def backup(self, target: Path) -> None:
        """Write a consistent copy to a file that must not exist yet, while the store is in use.

        Raises:
            StoreError: The target exists or cannot be written.
        """

    def export(self) -> Iterator[bytes]:
        """Yield the store as JSON lines: a header, twins, history, conflicts, and an end."""

    def find(
        self,
        term: Term | None,
        after: TwinKey | None,
        limit: int,
        *,
        descending: bool = False,
        admits: Callable[[TwinKey], bool] | None = None,
        bytes_max: int | None = None,
    ) -> list[tuple[TwinKey, bytes]]:
        """Return the keys and states of twins that a query finds, ordered by device and name.

        Args:
            term: What they must be; None for all.
            after: Only those behind this one.
            limit: Most that are returned.
            descending: Backwards; behind is then before.
            admits: Told each key that is found: whether it counts.
            bytes_max: Ends with the state with which all of them have so many bytes.

        Raises:
            QueryError: It took too long.
        """

    def close(self) -> None:
        """Release the store. Idempotent."""
