"""Restores a backup in the place of a store (design section 5).

Consumers drop every version that is not above the last they saw, and what the backup holds is
older than that. So a restore raises all versions by `VERSION_STEP` and counts nothing as
published: the bridge then publishes everything, with versions that nobody has seen.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import orjson

from bridge.core.topics import TwinKey
from bridge.errors import StoreCorrupt, StoreError
from bridge.store.audit import AuditRow, write_acts
from bridge.store.backup import copy_database
from bridge.store.base import StoreLimits
from bridge.store.check import find_problems
from bridge.store.claims import withdraw_open_claims
from bridge.store.connection import (
    make_fast,
    open_owner,
    open_reader,
    transaction,
    translated,
)
from bridge.store.files import remove_database, sidecar
from bridge.store.fleet_changes import pause_all
from bridge.store.install import keep_beside, put_in_place, settle
from bridge.store.lock import StoreLock
from bridge.store.schema import (
    INSTANCE,
    Content,
    identify,
    migrate,
    new_instance,
    read_facts,
    write_fact,
)

VERSION_STEP = 2**20
"""More changes than one twin sees between a backup and its restore."""

VERSION_RAISE = "version_raise"
"""Fact: by how much the versions have been raised by all restores. A twin that is made after a
restore has to begin above it: its key may have had versions already, made after the backup."""

RESTORED_AT = "restored_at"
"""Fact: when the last restore was, in µs since the epoch."""

RaiseInternals = Callable[[bytes, int], bytes]
"""(internals, the twin's raised version) -> internals whose horizon is that version.

Raises ValueError where it cannot read them.
"""

_TWINS_PER_PAGE = 1000
_PROBLEMS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did.

    Attributes:
        twins: Rows of twins restored, deleted twins that are remembered too.
        raised_by: How much higher every version is than in the backup.
        instance: The identity that the store has now.
        replaced: Where the store that was there before is kept; None if there was none.
    """

    twins: int
    raised_by: int
    instance: str
    replaced: Path | None


def restore(
    source: Path, path: Path, *, raise_internals: RaiseInternals, act: AuditRow | None = None
) -> RestoreReport:
    """Put a backup in the place of a store.

    At any moment, also if the process is killed, the path leads to the old store or to the new
    one, whole. The backup is only read. A damaged old store is replaced as well.

    Args:
        source: A file that `Store.backup` wrote, of this schema or an older one.
        path: The store; it need not exist.
        raise_internals: `bridge.store.codec.raise_horizon`.
        act: Written into the audit trail of the restored store; it goes on where the backup's ends.

    Raises:
        StoreLocked: A bridge holds the store.
        StoreSchemaError: The backup, or what is at the path, is not a store of ours.
        StoreCorrupt: The backup is damaged.
        StoreError: Something cannot be read or written.
    """
    if not source.is_file():
        raise StoreError(f"there is no backup {source}", hint="name a file that a backup wrote")
    if path.exists() and source.samefile(path):
        raise StoreError(f"{source} is the store itself", hint="name a backup of it")
    path = path.resolve()
    prepared = sidecar(path, ".restoring")
    with StoreLock(path):
        remove_database(prepared)  # of a restore that was killed
        try:
            _copy(source, prepared)
            with (
                translated(source, "restoring from"),
                contextlib.closing(open_owner(prepared)) as connection,
            ):
                _verify(connection, source)
                twins, raised_by, instance = _renew(connection, settle(path), raise_internals)
                with transaction(connection):
                    write_acts(connection, [act] if act else (), StoreLimits().audit_acts)
            replaced = keep_beside(path)
            put_in_place(prepared, path)
        except OSError as error:
            raise StoreError(f"the store {path} cannot be replaced: {error}") from error
        finally:
            remove_database(prepared)
    return RestoreReport(twins, raised_by, instance, replaced)


def _copy(source: Path, prepared: Path) -> None:
    with (
        translated(source, "reading the backup for"),
        contextlib.closing(open_reader(source)) as connection,
    ):
        if identify(connection, source) is Content.EMPTY:
            raise StoreError(f"the backup {source} is empty")
        copy_database(connection, prepared, lambda: None)


def _verify(connection: sqlite3.Connection, source: Path) -> None:
    make_fast(connection)
    if identify(connection, source) is Content.OLDER:
        migrate(connection)
    problems = find_problems(connection)
    if problems:
        shown = "; ".join(problems[:_PROBLEMS_SHOWN])
        raise StoreCorrupt(
            f"the backup {source} is damaged: {shown}", hint="restore an older backup"
        )


def _renew(
    connection: sqlite3.Connection, replaced: Mapping[str, str], raise_internals: RaiseInternals
) -> tuple[int, int, str]:
    """Raise the versions above all that was ever published, and make it another store."""
    instance = new_instance()
    before = int(read_facts(connection).get(VERSION_RAISE, "0"))
    # A second restore of the same backup has to go above the first one.
    total = max(before, int(replaced.get(VERSION_RAISE, "0"))) + VERSION_STEP
    now = time.time_ns() // 1000
    with transaction(connection):
        twins = _raise_versions(connection, total - before, raise_internals)
        connection.execute("DELETE FROM outbox")
        connection.execute("INSERT INTO outbox (twin_id, published_version) SELECT id, 0 FROM twin")
        # How far it had come is not known: the devices are ahead of the backup.
        pause_all(connection, "the store was restored from a backup")
        write_fact(connection, INSTANCE, instance)
        write_fact(connection, VERSION_RAISE, str(total))
        write_fact(connection, RESTORED_AT, str(now))
        withdraw_open_claims(connection, now)
    return twins, total - before, instance


def _raise_versions(
    connection: sqlite3.Connection, by: int, raise_internals: RaiseInternals
) -> int:
    twins = 0
    for page in _pages(connection):
        connection.executemany(
            "UPDATE twin SET revision = revision + 1, version = ?, state = ?, delta = ?, "
            "internals = ? WHERE id = ?",
            [_raised(row, by, raise_internals) for row in page],
        )
        twins += len(page)
    return twins


def _raised(
    row: _Row, by: int, raise_internals: RaiseInternals
) -> tuple[int, bytes, bytes | None, bytes, int]:
    row_id, device, name, version, state, delta, internals = row
    raised = version + by
    try:
        return (
            raised,
            _raise_document(state, by),
            None if delta is None else _raise_document(delta, by),
            raise_internals(internals, raised),
            row_id,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt(
            f"twin {TwinKey(device, name)} of the backup cannot be read: {error!r}",
            hint="restore an older backup",
        ) from error


_Row: TypeAlias = tuple[int, str, str, int, bytes, bytes | None, bytes]


def _pages(connection: sqlite3.Connection) -> Iterator[list[_Row]]:
    last = 0
    while page := connection.execute(
        "SELECT id, device, name, version, state, delta, internals FROM twin "
        "WHERE id > ? ORDER BY id LIMIT ?",
        (last, _TWINS_PER_PAGE),
    ).fetchall():
        yield page
        last = page[-1][0]


def _raise_document(document: bytes, by: int) -> bytes:
    if not document:
        return document  # of a deleted twin
    value = orjson.loads(document)
    value["version"] += by
    return orjson.dumps(value)
