"""The store on SQLite: one file, no set-up."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt, StoreError
from bridge.logs import get_logger
from bridge.query.terms import Term
from bridge.store import (
    conflicts,
    fleet_changes,
    listing,
    reads,
    sealed_windows,
    tokens,
    writes,
)
from bridge.store.audit import ALL_ACTS, AuditFilter, AuditRow, read_acts, write_acts
from bridge.store.backup import write_backup
from bridge.store.base import CommitBatch, ConflictRow, HistoryRow, StoredTwin, StoreLimits
from bridge.store.check import find_problems
from bridge.store.connection import make_durable, open_owner, transaction, translated
from bridge.store.device_keys import prove_keys
from bridge.store.dictionaries import sample_states
from bridge.store.export import export_lines
from bridge.store.files import make_private, sidecar
from bridge.store.history import read_history, write_history
from bridge.store.indexes import set_indexes
from bridge.store.known_twins import KnownTwins
from bridge.store.lock import StoreLock
from bridge.store.quarantine import Quarantine
from bridge.store.quarantined import EVERYTHING, QuarantinedMessage, QuarantineFilter
from bridge.store.queries import find
from bridge.store.readers import Readers
from bridge.store.schema import Content, identify, migrate, read_facts, write_fact
from bridge.store.sqlite_claims import SqliteClaims
from bridge.store.sqlite_device_keys import SqliteDeviceKeys
from bridge.store.sqlite_dictionaries import SqliteDictionaries
from bridge.store.sqlite_fleet_changes import SqliteFleetChanges

QUICK_CHECK_BYTES = 32 * 1024 * 1024
"""Largest file that is checked whole after an unclean end: even a memory card reads that in a
second or two."""

_log = get_logger("bridge.store")


class SqliteStore:
    """A store in one SQLite file, made by `SqliteStore.open`.

    Durability is write-ahead logging with `synchronous=FULL`: a commit that has returned survives
    a power cut. One connection owns writing and checkpoints (see `bridge.store.connection`).

    `check`, `backup` and `export` read a snapshot through a connection of their own: they may be
    called from other threads at any time, and stop nobody. Everything else is for one thread at a
    time, whichever it is.

    Attributes:
        device_keys: Keys of devices, wrapped.
        claims: Claims for enrolment, and the bridge's identity.
    """

    def __init__(
        self, path: Path, limits: StoreLimits, lock: StoreLock, connection: sqlite3.Connection
    ) -> None:
        self._path = path
        self._limits = limits
        self._lock = lock
        self._connection = connection
        self._readers = Readers(path)
        self._known = KnownTwins(connection)
        self._quarantine = Quarantine(connection, limits)
        self.claims = SqliteClaims(connection, path, limits.audit_acts)
        self.dictionaries = SqliteDictionaries(connection, path)
        self.fleet_changes = SqliteFleetChanges(connection, path)
        self.device_keys = SqliteDeviceKeys(connection, path, limits.audit_acts)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        limits: StoreLimits,
        create: bool = True,
        indexes: Collection[tuple[str, ...]] | None = None,
    ) -> SqliteStore:
        """Open a store, or make it.

        A store that was not closed (its process was killed, the power failed) is repaired by
        SQLite from its log. As far as `QUICK_CHECK_BYTES` it is then also checked whole; a larger
        one is not, because the time would grow with it: `syncbridge store check` does that.

        Args:
            path: The file; its directory must exist.
            limits: Bounds on what it keeps beside the twins.
            create: Make the file if there is none; otherwise that is an error.
            indexes: Paths that queries find by an index, see `bridge.store.indexed_paths`; others
                are dropped. None leaves them as they are.

        Raises:
            StoreLocked: Another process holds it.
            StoreSchemaError: The file is not ours, or newer than this program.
            StoreCorrupt: It is damaged.
            StoreUnavailable: It cannot be written.
            StoreError: It, or its directory, does not exist or may not be written.
        """
        if not create and not path.is_file():
            raise StoreError(
                f"there is no store {path.absolute()}",
                hint="run this where the bridge was started, or name its store: --store FILE",
            )
        path = path.resolve()
        lock = StoreLock(path)
        try:
            connection = _open_connection(path, create=create)
        except BaseException:
            lock.release()
            raise
        store = cls(path, limits, lock, connection)
        if indexes is not None:
            try:
                with translated(path, "indexing"):
                    set_indexes(connection, indexes)
            except BaseException:
                store.close()
                raise
        return store

    @property
    def path(self) -> Path:
        """The file, as an absolute path without links."""
        return self._path

    def load(self, keys: Sequence[TwinKey]) -> dict[TwinKey, StoredTwin]:
        """Return those of the twins that are kept, in one round trip."""
        with self._translated("reading"):
            return reads.load_twins(self._connection, keys, self._known)

    def commit(self, batch: CommitBatch) -> frozenset[TwinKey]:
        """Write all of the batch, durably, or nothing; see `Store.commit`."""
        if writes.is_empty(batch):
            return frozenset()
        with self._translated("committing to"):
            try:
                with transaction(self._connection):
                    writes.write_twins(self._connection, batch.twins, self._known)
                    write_history(self._connection, batch.history, self._known, self._limits)
                    conflicts.write_conflicts(self._connection, batch.conflicts, self._limits)
                    writes.mark_published(self._connection, batch.published, self._known)
                    self._quarantine.add(batch.quarantined)
                    sealed_windows.write_windows(self._connection, batch.windows)
                    prove_keys(self._connection, batch.proven_keys)
                    self._write_acts(batch.acts)
                    fleet_changes.write_notes(self._connection, batch.targets)
            except writes.StaleRows:
                self._forget()
                return writes.find_stale(self._connection, batch.twins)
            except BaseException:
                self._forget()
                raise
        return frozenset()

    def mark_published(self, marks: Sequence[tuple[TwinKey, int]]) -> None:
        """Raise `published_version` to the given versions; see `Store.mark_published`."""
        self.commit(CommitBatch(published=marks))

    def unpublished(self, after: TwinKey | None, limit: int) -> list[StoredTwin]:
        """Page through the twins with `published_version` < `version`."""
        with self._translated("reading"):
            return reads.unpublished(self._connection, after, limit)

    def changed_since(self, at: int, after: TwinKey | None, limit: int) -> list[StoredTwin]:
        """Page through the twins with `version` > 0 and `at` ≥ the given time."""
        with self._translated("reading"):
            return reads.changed_since(self._connection, at, after, limit)

    def history(self, key: TwinKey, below_version: int | None, limit: int) -> list[HistoryRow]:
        """Return changes of a twin, the newest first."""
        with self._translated("reading"):
            return read_history(self._connection, key, below_version, limit)

    def conflicts(
        self, key: TwinKey | None, before: int | None, limit: int
    ) -> list[tuple[int, ConflictRow]]:
        """Return entries of the conflict log, the newest first; see `Store.conflicts`."""
        with self._translated("reading"):
            return conflicts.read_conflicts(self._connection, key, before, limit)

    def quarantine(
        self,
        limit: int,
        before: int | None = None,
        wanted: QuarantineFilter = EVERYTHING,
        payload_bytes: int | None = None,
    ) -> list[QuarantinedMessage]:
        """Return quarantined messages, the newest first; see `Store.quarantine`."""
        with self._translated("reading"):
            return self._quarantine.read(limit, before, wanted, payload_bytes)

    def quarantined(self, message_id: int) -> QuarantinedMessage | None:
        """Return one quarantined message, None where there is none of that id."""
        with self._translated("reading"):
            return self._quarantine.find(message_id)

    def count_quarantine(self, wanted: QuarantineFilter) -> tuple[int, int]:
        """Return how many messages there are, and the bytes of their payloads that are kept."""
        with self._translated("reading"):
            return self._quarantine.count(wanted)

    def clear_quarantine(
        self, wanted: QuarantineFilter, limit: int, act: AuditRow | None = None
    ) -> int:
        """Delete the oldest messages, durably; see `Store.clear_quarantine`."""
        with self._translated("writing to"), transaction(self._connection):
            self._write_acts([act] if act else ())
            return self._quarantine.clear(wanted, limit)

    def record(self, acts: Sequence[AuditRow]) -> None:
        """Write acts into the audit trail, durably: before they take effect."""
        with self._translated("writing to"), transaction(self._connection):
            self._write_acts(acts)

    def audit(
        self, limit: int, before: int | None = None, wanted: AuditFilter = ALL_ACTS
    ) -> list[AuditRow]:
        """Return acts of the audit trail, the newest first; see `Store.audit`."""
        with self._translated("reading"):
            return read_acts(self._connection, limit, before, wanted)

    def metadata(self) -> Mapping[str, str]:
        """Return the store's own small facts."""
        with self._translated("reading"):
            return read_facts(self._connection)

    def set_metadata(self, name: str, value: str) -> None:
        """Keep one small fact, durably."""
        with self._translated("writing to"), transaction(self._connection):
            write_fact(self._connection, name, value)

    def twin_names(self, device: str) -> list[str]:
        """Return the names of a device's named twins, deleted ones that are remembered too."""
        with self._translated("reading"):
            return reads.twin_names(self._connection, device)

    def count_twins(self) -> int:
        """Return how many twins exist."""
        with self._translated("reading"):
            return reads.count_twins(self._connection)

    def list_keys(
        self, after: TwinKey | None, limit: int, *, descending: bool = False
    ) -> list[TwinKey]:
        """Page through the keys of all twins by device and name, deleted ones too."""
        with self._translated("reading"):
            return listing.list_keys(self._connection, after, limit, descending=descending)

    def add_token(self, token: tokens.StoredToken, act: AuditRow | None = None) -> bool:
        """Keep a token of the HTTP API, durably; False where there are too many."""
        with self._translated("writing to"), transaction(self._connection):
            is_kept = tokens.add_token(self._connection, token)
            self._write_acts([act] if act and is_kept else ())
            return is_kept

    def list_tokens(self) -> list[tokens.StoredToken]:
        """Return all tokens, the newest first."""
        with self._translated("reading"):
            return tokens.list_tokens(self._connection)

    def find_token(self, token_id: str) -> tokens.StoredToken | None:
        """Return a token by its id, or None."""
        with self._translated("reading"):
            return tokens.find_token(self._connection, token_id)

    def revoke_token(self, token_id: str, act: AuditRow | None = None) -> bool:
        """Delete a token, durably; False where there is none of that id."""
        with self._translated("writing to"), transaction(self._connection):
            is_gone = tokens.revoke_token(self._connection, token_id)
            self._write_acts([act] if act and is_gone else ())
            return is_gone

    def sealed_windows(
        self, places: Sequence[sealed_windows.SealedPlace]
    ) -> tuple[
        dict[sealed_windows.SealedPlace, sealed_windows.SealedWindow], dict[tuple[str, int], int]
    ]:
        """Return windows of sealed messages, and how many some keys have; see `Store`."""
        with self._translated("reading"):
            return sealed_windows.read_windows(self._connection, places)

    def sample_states(self, count: int) -> list[tuple[TwinKey, bytes]]:
        """Return at most so many twins' states, spread over all."""
        with self._translated("reading"), self._readers.snapshot() as snapshot:
            return list(sample_states(snapshot, count))

    def check(self) -> list[str]:
        """Verify the whole store; returns what is wrong, one line each, or nothing."""
        try:
            with self._translated("checking"), self._readers.snapshot() as snapshot:
                return find_problems(snapshot)
        except StoreCorrupt as error:
            return [error.message]

    def backup(self, target: Path) -> None:
        """Write a consistent copy to a file that must not exist yet; see `Store.backup`."""
        with self._translated("backing up"), self._readers.snapshot() as snapshot:
            write_backup(snapshot, target, self._readers.refuse_when_ending)

    def export(self) -> Iterator[bytes]:
        """Yield the store as JSON lines: a header, twins, history, conflicts, and an end."""
        with self._translated("exporting"), self._readers.snapshot() as snapshot:
            yield from export_lines(snapshot)

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
        """Return the keys and states of twins that a query finds; see `Store.find`."""
        with self._translated("querying"), self._readers.snapshot() as snapshot:
            return find(
                snapshot,
                term,
                after,
                limit,
                descending=descending,
                admits=admits,
                bytes_max=bytes_max,
            )

    def close(self) -> None:
        """Release the store; what still reads it in other threads is ended. Idempotent."""
        self._readers.end()
        with self._translated("closing"):
            self._connection.close()
        self._lock.release()

    def _forget(self) -> None:
        """Forget what is known of the tables: the transaction was rolled back."""
        self._known.forget()
        self._quarantine.forget()

    def _write_acts(self, acts: Sequence[AuditRow]) -> None:
        write_acts(self._connection, acts, self._limits.audit_acts)

    def _translated(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return translated(self._path, doing)


def _open_connection(path: Path, *, create: bool) -> sqlite3.Connection:
    # A log that is left over tells that the last owner did not come to its end.
    log = sidecar(path, "-wal")
    unclean = log.exists() and log.stat().st_size > 0
    make_private(path)
    with translated(path, "opening"), contextlib.ExitStack() as on_failure:
        connection = open_owner(path)
        on_failure.callback(connection.close)
        content = identify(connection, path)
        if content is Content.EMPTY and not create:
            raise StoreError(f"the store {path} is empty", hint="restore a backup in its place")
        make_durable(connection)
        if content is not Content.CURRENT:
            migrate(connection)
        if unclean:
            _check_after_unclean_end(connection, path)
        on_failure.pop_all()
    return connection


def _check_after_unclean_end(connection: sqlite3.Connection, path: Path) -> None:
    size_bytes = path.stat().st_size
    checked = size_bytes <= QUICK_CHECK_BYTES
    _log.info("the store was not closed, and is repaired", size_bytes=size_bytes, checked=checked)
    if not checked:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(
            f"the store {path} is damaged: {found}",
            hint="restore a backup with `syncbridge store restore`",
        )
