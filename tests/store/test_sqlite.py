"""What is special to the store on SQLite: its file, its refusals, its failures."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.core.topics import TwinKey
from bridge.errors import (
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreSchemaError,
    StoreUnavailable,
)
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.restore import VERSION_STEP, restore
from bridge.store.sqlite import SqliteStore
from tests.store.processes import COMMIT, HOLD, Child
from tests.store.samples import blocks, change, commit, conflict, kept, load_one, refused, twin

LIMITS = StoreLimits()
OpenSqlite = Callable[..., SqliteStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store.db"


def edit(path: Path, script: str) -> None:
    """Change a closed store behind its back."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def damage(path: Path, page: int) -> None:
    """Overwrite one page of 4 KiB."""
    with path.open("r+b") as file:
        file.seek(4096 * page)
        file.write(b"\xa5" * 4096)


def fill(store: SqliteStore, count: int = 200) -> None:
    """Commit so many twins that the tables have several pages."""
    commit(store, [twin(f"d{i}") for i in range(count)], [change(1, f"d{i}") for i in range(count)])


def test_file_is_private_and_single_after_closing(open_sqlite: OpenSqlite, path: Path) -> None:
    """Only the owner may read it, and nothing but the lock stays beside it."""
    store = open_sqlite()
    commit(store, [twin()])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    store.close()
    assert {file.name for file in path.parent.iterdir()} == {"store.db", "store.db.lock"}


def test_commits_are_synchronous(open_sqlite: OpenSqlite) -> None:
    """Whatever the library's default: a write-ahead log, and every commit waits for the disk."""
    connection = open_sqlite()._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_second_process_is_told_who_holds_the_store(path: Path) -> None:
    """The message names the holder's process id; once that has died, the store is free."""
    with Child(HOLD, path) as child:
        assert child.line() == "held"
        with pytest.raises(StoreLocked, match=f"held by process {child.pid} "):
            SqliteStore.open(path, limits=LIMITS)
        child.kill()
        SqliteStore.open(path, limits=LIMITS).close()


def test_store_is_held_once_in_a_process_and_by_any_name(path: Path) -> None:
    """A link to the store is the same store."""
    alias = path.with_name("alias.db")
    alias.symlink_to(path)
    with closing(SqliteStore.open(path, limits=LIMITS)), pytest.raises(StoreLocked):
        SqliteStore.open(alias, limits=LIMITS)


def test_failed_opening_leaves_the_store_free(path: Path) -> None:
    """The lock is given back."""
    path.write_bytes(b"not a database, but some text that is long enough for a header" * 10)
    with pytest.raises(StoreSchemaError):
        SqliteStore.open(path, limits=LIMITS)
    path.unlink()
    SqliteStore.open(path, limits=LIMITS).close()


def test_missing_store_is_an_error_where_none_may_be_made(path: Path) -> None:
    """Nothing is made, not even a lock."""
    with pytest.raises(StoreError, match="there is no store"):
        SqliteStore.open(path, limits=LIMITS, create=False)
    assert list(path.parent.iterdir()) == []


def test_empty_file_becomes_a_store_only_where_one_may_be_made(path: Path) -> None:
    """An empty file is what a crash during the making leaves."""
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        SqliteStore.open(path, limits=LIMITS, create=False)
    SqliteStore.open(path, limits=LIMITS).close()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    """The hint is the command that makes it."""
    with pytest.raises(StoreError, match="none of the store does not exist") as caught:
        SqliteStore.open(tmp_path / "none" / "store.db", limits=LIMITS)
    assert caught.value.hint == f"create it: mkdir -p {tmp_path / 'none'}"


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Here because it is no directory at all."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/store\.db\.lock of the store cannot be written"):
        SqliteStore.open(tmp_path / "file" / "store.db", limits=LIMITS)


def test_directory_in_the_place_of_the_file_is_refused(path: Path) -> None:
    """A directory is not a store."""
    path.mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        SqliteStore.open(path, limits=LIMITS)


def test_text_file_is_refused_and_stays(path: Path) -> None:
    """A mistyped path must not cost a file."""
    text = b"settings: of something else\n" * 200
    path.write_bytes(text)
    with pytest.raises(StoreSchemaError, match="not a SQLite database"):
        SqliteStore.open(path, limits=LIMITS)
    assert path.read_bytes() == text


@pytest.mark.parametrize(
    "script",
    ["CREATE TABLE t (x)", "PRAGMA application_id = 77", "PRAGMA user_version = 1"],
)
def test_database_of_another_program_is_refused_and_stays(path: Path, script: str) -> None:
    """With tables or marked as somebody's: it is not ours."""
    edit(path, script)
    before = path.read_bytes()
    with pytest.raises(StoreSchemaError, match="database of another program"):
        SqliteStore.open(path, limits=LIMITS)
    assert path.read_bytes() == before


def test_newer_schema_is_refused_with_who_wrote_it(open_sqlite: OpenSqlite, path: Path) -> None:
    """The message says which version is needed, and the file stays."""
    open_sqlite().close()
    edit(
        path,
        "PRAGMA user_version = 99; UPDATE metadata SET value = '9.9.9' WHERE name = 'written_by'",
    )
    before = path.read_bytes()
    with pytest.raises(StoreSchemaError, match=r"schema 99, written by syncbridge 9\.9\.9"):
        SqliteStore.open(path, limits=LIMITS)
    assert path.read_bytes() == before


def test_full_disk_is_told_and_passes(open_sqlite: OpenSqlite) -> None:
    """Nothing of the batch is there, and the same commit works once there is space again."""
    store = open_sqlite()
    fill(store)
    before = list(store.export())
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    batch = CommitBatch(
        twins=[twin(f"new{i}") for i in range(500)],
        quarantined=[refused(i, b"x" * 4000) for i in range(100)],
    )
    with pytest.raises(StoreUnavailable, match="full") as caught:
        store.commit(batch)
    assert caught.value.recoverable
    assert caught.value.hint == "free space on its disk"
    assert list(store.export()) == before
    commit(store, [twin("d1", revision=2)])
    store._connection.execute("PRAGMA max_page_count = 1000000")
    assert store.commit(batch) == frozenset()
    assert len(store.quarantine(1000)) == 100


def test_file_that_cannot_be_written_is_told_and_passes(open_sqlite: OpenSqlite) -> None:
    """Reading goes on; writing works again when it is allowed."""
    store = open_sqlite()
    commit(store, [twin()])
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailable, match="SQLITE_READONLY"):
        store.commit(CommitBatch(twins=[twin(revision=2)]))
    assert load_one(store).revision == 1
    store._connection.execute("PRAGMA query_only = OFF")
    commit(store, [twin(revision=2)])


def test_lock_of_another_program_is_told(open_sqlite: OpenSqlite, path: Path) -> None:
    """A shell with an open transaction blocks commits, and only as long as it lasts."""
    store = open_sqlite()
    commit(store, [twin()])
    store._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
            store.commit(CommitBatch(twins=[twin(revision=2)]))
        shell.execute("ROLLBACK")
        commit(store, [twin(revision=2)])


def test_program_error_in_a_batch_leaves_the_store_usable(open_sqlite: OpenSqlite) -> None:
    """What SQLite cannot hold fails as a whole."""
    store = open_sqlite()
    with pytest.raises(OverflowError):
        store.commit(CommitBatch(twins=[twin("a"), twin("b", at=2**63)]))
    assert store.count_twins() == 0
    commit(store, [twin("a")])
    with pytest.raises(StoreError, match="UNIQUE"):
        store.commit(CommitBatch(history=blocks(change(1, "a")) * 2))
    commit(store, [twin("a", revision=2)])


def test_killed_process_loses_nothing_acknowledged(path: Path) -> None:
    """Killed five times while it commits: what it had said is there, and nothing is half there."""
    acknowledged = 0
    for _ in range(5):
        with Child(COMMIT, path) as child:
            assert int(child.line()) >= acknowledged
            for _ in range(20):
                acknowledged = int(child.line())
            acknowledged = int((child.kill() or [str(acknowledged)])[-1])
    with closing(SqliteStore.open(path, limits=LIMITS)) as store:
        kept = store.load([TwinKey(f"d{i}") for i in range(5)])
        revisions = {t.revision for t in kept.values()}
        assert len(revisions) == 1
        assert acknowledged <= revisions.pop() <= acknowledged + 1
        assert store.check() == []


def test_unclean_end_is_noticed_and_checked(path: Path) -> None:
    """A store that was not closed is repaired and checked, one that was closed is not."""
    with Child(COMMIT, path) as child:
        child.line()
        child.line()
        child.kill()
    for expected in (["the store was not closed, and is repaired"], []):
        with capture_logs() as logs:
            SqliteStore.open(path, limits=LIMITS).close()
        assert [entry["event"] for entry in logs] == expected


def test_damage_found_after_an_unclean_end_is_fatal(open_sqlite: OpenSqlite, path: Path) -> None:
    """Going on with a damaged store would spread the damage."""
    store = open_sqlite()
    fill(store)
    store.close()
    damage(path, 12)
    path.with_name("store.db-wal").write_bytes(b"left over")
    with pytest.raises(StoreCorrupt, match="is damaged"):
        SqliteStore.open(path, limits=LIMITS)


def test_damaged_page_is_told_as_corruption(open_sqlite: OpenSqlite, path: Path) -> None:
    """Reading what is damaged is an error of its own kind."""
    open_sqlite().close()
    # The pages of the schema stay whole, however many tables there are.
    first = path.stat().st_size // 4096
    store = open_sqlite()
    fill(store, 2000)
    store.close()
    for page in range(first, path.stat().st_size // 4096):
        damage(path, page)
    store = open_sqlite()
    with pytest.raises(StoreCorrupt, match="SQLITE_CORRUPT"):
        store.load([TwinKey(f"d{i}") for i in range(2000)])
    assert store.check() != []


def test_reading_a_snapshot_does_not_hold_up_commits(open_sqlite: OpenSqlite) -> None:
    """An export that is read slowly, a check and a backup while another thread commits."""
    store = open_sqlite()
    fill(store)
    stop = threading.Event()

    def commit_on() -> int:
        revision = 1
        while not stop.is_set():
            revision += 1
            commit(store, [twin("d1", revision=revision)], [change(revision, "d1")])
        return revision

    with ThreadPoolExecutor(1) as thread:
        committing = thread.submit(commit_on)
        lines = store.export()
        next(lines)
        for number in range(5):
            assert store.check() == []
            store.backup(store.path.with_name(f"backup-{number}"))
        exported = [*lines]
        stop.set()
        revision = committing.result()
    assert revision > 1
    assert b'"twins":200' in exported[-1]
    assert load_one(store, "d1").revision == revision
    with closing(SqliteStore.open(store.path.with_name("backup-4"), limits=LIMITS)) as backup:
        assert backup.check() == []
        assert 1 < load_one(backup, "d1").revision <= revision


def test_closing_ends_reads_in_other_threads(open_sqlite: OpenSqlite, path: Path) -> None:
    """A long read is interrupted, and the store is closed as the last one."""
    store = open_sqlite()
    fill(store)
    begun = threading.Event()

    def read_for_ever() -> None:
        with store._translated("reading"), store._readers.snapshot() as snapshot:
            begun.set()
            snapshot.execute(
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
                "SELECT max(x) FROM n"
            ).fetchone()

    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read_for_ever)
        assert begun.wait(30)
        store.close()
        with pytest.raises(StoreUnavailable, match="interrupted"):
            reading.result()
    assert not path.with_name("store.db-wal").exists()


def test_a_store_that_is_closing_starts_no_read(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    """A backup that is asked for too late says why."""
    store = open_sqlite()
    store._readers.end()
    with pytest.raises(StoreUnavailable, match="being closed"):
        store.backup(tmp_path / "late")
    assert not (tmp_path / "late").exists()


def test_store_of_schema_1_opens(path: Path) -> None:
    """The store that the first release wrote, with everything in it."""
    dump = Path(__file__).parent / "data" / "schema-1.sql"
    edit(path, dump.read_text())
    with closing(SqliteStore.open(path, limits=LIMITS)) as store:
        assert store.check() == []
        assert store.metadata()["instance"] == "0123456789abcdef0123456789abcdef"
        assert load_one(store) == twin(revision=3, wanted=True, published=2)
        assert load_one(store, name="config") == twin(
            name="config", revision=2, exists=False, published=2
        )
        assert store.history(TwinKey("lamp-1"), None, 10) == [change(3), change(2), change(1)]
        assert kept(store) == [refused(1)._replace(device="", writer="")]
        assert [t.key for t in store.unpublished(None, 10)] == [TwinKey("lamp-1")]
        assert store.conflicts(None, None, 10) == []
        commit(store, [twin(revision=4)], [change(4)], [conflict(4)])
        assert [row for _, row in store.conflicts(None, None, 10)] == [conflict(4)]
        assert store.check() == []
    with closing(SqliteStore.open(path, limits=LIMITS)) as store:
        assert load_one(store).version == 4


def test_backup_of_schema_1_can_be_restored(path: Path, tmp_path: Path) -> None:
    """One made before the upgrade: the backup itself stays as it is."""
    dump = Path(__file__).parent / "data" / "schema-1.sql"
    backup = tmp_path / "old"
    edit(backup, dump.read_text())
    before = backup.read_bytes()
    restore(backup, path, raise_internals=lambda internals, _: internals)
    assert backup.read_bytes() == before
    with closing(SqliteStore.open(path, limits=LIMITS)) as store:
        assert load_one(store).version == 3 + VERSION_STEP
        assert store.conflicts(None, None, 10) == []
        assert store.check() == []


def test_commit_without_conflicts_does_not_touch_their_log(open_sqlite: OpenSqlite) -> None:
    """Not one statement is spent on it."""
    store = open_sqlite()
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    commit(store, [twin()], [change(1)])
    assert statements
    assert not [statement for statement in statements if "conflict" in statement]
    commit(store, [twin(revision=2)], [change(2)], [conflict(2)])
    assert [statement for statement in statements if "conflict" in statement]
