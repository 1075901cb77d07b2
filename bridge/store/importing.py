"""Reads an export into a fresh store: all of it, or nothing."""

from __future__ import annotations

import base64
import binascii
import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import orjson

from bridge.core.topics import TwinKey, is_device_id, is_name
from bridge.errors import StoreError
from bridge.store.audit import AuditRow, write_acts
from bridge.store.base import ConflictRow, HistoryRow, StoredTwin, StoreLimits
from bridge.store.check import find_problems
from bridge.store.conflicts import write_conflicts
from bridge.store.connection import make_fast, open_owner, transaction, translated
from bridge.store.export import FORMAT, FORMAT_VERSION
from bridge.store.files import make_private, remove_database, sidecar
from bridge.store.history import write_history
from bridge.store.history_codec import blocks_of
from bridge.store.install import put_in_place, settle
from bridge.store.known_twins import KnownTwins
from bridge.store.lock import StoreLock
from bridge.store.schema import (
    CREATED_AT,
    INSTANCE,
    WRITTEN_BY,
    Content,
    identify,
    migrate,
    write_fact,
)
from bridge.store.writes import StaleRows, write_twins

LINE_BYTES_MAX = 64 * 1024 * 1024
"""Longest line: many times what a twin at all its limits takes, and still fits into memory."""

_OWN_FACTS = frozenset({INSTANCE, CREATED_AT, WRITTEN_BY})
_UNPRUNED = StoreLimits(history_changes=2**62, history_age_us=2**62, conflicts=2**62)

Field = TypeVar("Field")
Record = Mapping[str, object]


class _LineError(ValueError):
    """What is wrong with one line."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import wrote.

    Attributes:
        twins: Rows of twins, deleted twins that are remembered too.
        history: Changes.
        conflicts: Entries of the conflict log.
    """

    twins: int
    history: int
    conflicts: int


def import_lines(
    path: Path, lines: Iterable[bytes], *, act: AuditRow | None = None
) -> ImportReport:
    """Make a store from the lines of an export.

    Twins keep their revisions and versions, and what counts as published; the store has an
    identity of its own, so that a bridge publishes everything again.

    Args:
        path: A file that does not exist, or a store without twins and quarantined messages.
        lines: What `Store.export` yielded, with or without line feeds.
        act: Written into the audit trail of the new store.

    Raises:
        StoreLocked: A bridge holds the store.
        StoreSchemaError: The file at the path is not a store of ours.
        StoreError: The store is not empty, or a line is wrong; the message names its number.
    """
    path = path.resolve()
    prepared = sidecar(path, ".importing")
    with StoreLock(path):
        _refuse_used(path)
        remove_database(prepared)  # of an import that was killed
        try:
            make_private(prepared)
            with (
                translated(prepared, "importing into"),
                contextlib.closing(open_owner(prepared)) as connection,
            ):
                report = _fill(connection, lines)
                with transaction(connection):
                    write_acts(connection, [act] if act else (), _UNPRUNED.audit_acts)
            settle(path)
            put_in_place(prepared, path)
        except OSError as error:
            raise StoreError(f"the store {path} cannot be written: {error}") from error
        finally:
            remove_database(prepared)
    return report


_WOULD_BE_LOST = (
    "twin", "quarantine", "device_key", "claim", "token", "dictionary", "fleet_change"
)  # fmt: skip


def _refuse_used(path: Path) -> None:
    if not path.exists():
        return
    with (
        translated(path, "reading"),
        contextlib.closing(open_owner(path)) as connection,
    ):
        if identify(connection, path) is Content.EMPTY:
            return
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
        used = any(
            connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608
            for table in _WOULD_BE_LOST
            if table in tables  # a store of an older program has not all of them
        )
    if used:
        raise StoreError(
            f"the store {path} is not empty", hint="import into a new file: --store PATH"
        )


def _fill(connection: sqlite3.Connection, lines: Iterable[bytes]) -> ImportReport:
    make_fast(connection)
    migrate(connection)
    importer = _Importer(connection)
    with transaction(connection):
        for number, line in enumerate(lines, start=1):
            try:
                importer.take(_parse(line))
            except _LineError as error:
                raise StoreError(f"line {number} of the import: {error}") from error
        report = importer.finish()
    problems = find_problems(connection)
    if problems:
        raise StoreError(f"the import contradicts itself: {problems[0]}")
    return report


def _parse(line: bytes) -> Record:
    if len(line) > LINE_BYTES_MAX:
        raise _LineError(f"it is longer than {LINE_BYTES_MAX} bytes")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _LineError(f"it is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise _LineError("it is not a JSON object")
    return record


class _Importer:
    """Takes the records of an export, one after the other."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known = KnownTwins(connection)
        self._take = {
            "twin": self._take_twin,
            "history": self._take_history,
            "conflict": self._take_conflict,
            "end": self._take_end,
        }
        self._begun = False
        self._ended = False
        self._twins = 0
        self._changes = 0
        self._conflicts = 0

    def take(self, record: Record) -> None:
        """Write one record.

        Raises:
            _LineError: It is wrong, or not here.
        """
        if self._ended:
            raise _LineError("something follows the end")
        kind = _field(record, "kind", str)
        if not self._begun:
            self._take_header(kind, record)
        elif kind in self._take:
            self._take[kind](record)
        else:
            raise _LineError(f"the kind {kind!r} is unknown")

    def finish(self) -> ImportReport:
        """Return what was written.

        Raises:
            StoreError: The end is missing.
        """
        if not self._ended:
            raise StoreError(
                "the import is cut short: its last line is not the one of kind `end`",
                hint="export again, and copy the whole file",
            )
        return ImportReport(self._twins, self._changes, self._conflicts)

    def _take_header(self, kind: str, record: Record) -> None:
        if kind != "header" or record.get("format") != FORMAT:
            raise _LineError("this is not an export of syncbridge: its header is missing")
        version = _field(record, "version", int)
        if version > FORMAT_VERSION:
            raise _LineError(
                f"the export has format {version}, newer than this program, which knows "
                f"{FORMAT_VERSION}"
            )
        for name, value in _field(record, "metadata", dict).items():
            if name not in _OWN_FACTS and isinstance(value, str):
                write_fact(self._connection, name, value)
        self._begun = True

    def _take_twin(self, record: Record) -> None:
        if self._changes or self._conflicts:
            raise _LineError("a twin stands behind the history or the conflicts")
        twin = _twin(record)
        # Written as new, and given its revision afterwards.
        try:
            write_twins(self._connection, [twin._replace(revision=1)], self._known)
        except StaleRows as error:
            raise _LineError(f"the twin {twin.key} stands here for the second time") from error
        self._connection.execute(
            "UPDATE twin SET revision = ? WHERE device = ? AND name = ?",
            (twin.revision, *twin.key),
        )
        self._twins += 1

    def _take_history(self, record: Record) -> None:
        row = _history_row(record)
        try:
            write_history(self._connection, blocks_of([row]), self._known, _UNPRUNED)
        except sqlite3.IntegrityError as error:
            raise _LineError(f"the twin {row.key} has this version already") from error
        except StoreError as error:
            raise _LineError(f"the twin {row.key} is not among the twins above") from error
        self._changes += 1

    def _take_conflict(self, record: Record) -> None:
        row = _conflict_row(record)
        try:
            write_conflicts(self._connection, [row], _UNPRUNED)
        except StoreError as error:
            raise _LineError(f"the twin {row.key} is not among the twins above") from error
        self._conflicts += 1

    def _take_end(self, record: Record) -> None:
        # An export of version 1 has none, and does not count them.
        conflicts = _field(record, "conflicts", int) if "conflicts" in record else 0
        expected = (_field(record, "twins", int), _field(record, "history", int), conflicts)
        found = (self._twins, self._changes, self._conflicts)
        if expected != found:
            raise _LineError(
                "the export had {} twins, {} changes and {} conflicts, ".format(*expected)
                + "here were {}, {} and {}".format(*found)
            )
        self._ended = True


def _twin(record: Record) -> StoredTwin:
    twin = StoredTwin(
        _key(record),
        _count(record, "revision"),
        _count(record, "version"),
        _count(record, "published_version"),
        _field(record, "exists", bool),
        _count(record, "at"),
        _document(record, "state"),
        None if record.get("delta") is None else _document(record, "delta"),
        _internals(record),
    )
    if twin.revision < 1 or twin.published_version > twin.version:
        raise _LineError("revision must be above 0, and published_version not above version")
    return twin


def _history_row(record: Record) -> HistoryRow:
    return HistoryRow(
        _key(record),
        _count(record, "version"),
        _count(record, "at"),
        _count(record, "stamp"),
        _field(record, "writer", str),
        _field(record, "section", str),
        orjson.dumps(record.get("patch")),
        orjson.dumps(record.get("previous")),
    )


def _conflict_row(record: Record) -> ConflictRow:
    return ConflictRow(
        _key(record),
        _count(record, "version"),
        _count(record, "at"),
        _field(record, "section", str),
        orjson.dumps(_field(record, "path", list)),
        _field(record, "policy", str),
        orjson.dumps(record.get("kept")),
        _field(record, "kept_by", str),
        _count(record, "kept_stamp"),
        orjson.dumps(record.get("lost")),
        _field(record, "lost_by", str),
        _count(record, "lost_stamp"),
    )


def _key(record: Record) -> TwinKey:
    key = TwinKey(_field(record, "device", str), _field(record, "name", str))
    if not is_device_id(key.device) or (key.name and not is_name(key.name)):
        raise _LineError(f"{str(key)!r} is not a device id, or not a name of a twin")
    return key


def _count(record: Record, name: str) -> int:
    number = _field(record, name, int)
    if not 0 <= number < 2**63:
        raise _LineError(f"{name!r} is {number}, out of its range")
    return number


def _document(record: Record, name: str) -> bytes:
    document = record.get(name)
    return b"" if document is None else orjson.dumps(document)


def _internals(record: Record) -> bytes:
    try:
        return base64.b64decode(_field(record, "internals", str), validate=True)
    except binascii.Error as error:
        raise _LineError(f"'internals' is not base64: {error}") from error


def _field(record: Record, name: str, kind: type[Field]) -> Field:
    value = record.get(name)
    # Not isinstance: true is no number here.
    if type(value) is not kind:
        raise _LineError(f"{name!r} must be of type {kind.__name__}, and is {value!r:.80}")
    return value
