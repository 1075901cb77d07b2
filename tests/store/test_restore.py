"""Restoring backups: what is raised, what is kept, and what is refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from bridge.core.topics import TwinKey
from bridge.errors import (
    StoreCorrupt,
    StoreError,
    StoreLocked,
    StoreSchemaError,
    StoreUnavailable,
)
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.claims import StoredClaim, TakenClaim
from bridge.store.restore import VERSION_STEP, RestoreReport, restore
from bridge.store.sqlite import SqliteStore
from tests.store.processes import COMMIT, Child
from tests.store.samples import NOON, all_pages, change, commit, kept, load_one, refused, twin

OpenSqlite = Callable[..., SqliteStore]


def raised(internals: bytes, version: int) -> bytes:
    """Mark internals, where the codec would raise their horizon."""
    return b"%d:%s" % (version, internals)


def bring_back(source: Path, path: Path) -> RestoreReport:
    """Restore with `raised`."""
    return restore(source, path, raise_internals=raised)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store.db"


@pytest.fixture
def backup(open_sqlite: OpenSqlite, path: Path, tmp_path: Path) -> Path:
    """A backup of a store that has gone on since, and is closed."""
    store = open_sqlite()
    commit(store, [twin("a", version=14, wanted=True)], [change(14, "a")])
    commit(
        store,
        [twin("a", name="gone", version=3, exists=False), twin("new", version=0, exists=False)],
    )
    store.mark_published([(TwinKey("a"), 14)])
    store.set_metadata("session", "kept")
    target = tmp_path / "monday"
    store.backup(target)
    commit(store, [twin("a", revision=2, version=40), twin("later")])
    store.close()
    return target


def test_restore_raises_every_version(open_sqlite: OpenSqlite, backup: Path, path: Path) -> None:
    """In the row, in the documents and in the internals; nothing else of a twin changes."""
    store = open_sqlite()
    before = store.metadata()["instance"]
    store.close()
    report = bring_back(backup, path)
    assert (report.twins, report.raised_by) == (3, VERSION_STEP)
    store = open_sqlite()
    expected = twin("a", version=14 + VERSION_STEP, wanted=True)
    assert load_one(store, "a") == expected._replace(
        revision=2, internals=b"%d:internals of a/ 1\0" % (14 + VERSION_STEP)
    )
    assert orjson.loads(load_one(store, "a").state)["version"] == 14 + VERSION_STEP
    deleted = load_one(store, "a", "gone")
    assert (deleted.version, deleted.exists, deleted.state) == (3 + VERSION_STEP, False, b"")
    assert store.history(TwinKey("a"), None, 10) == [change(14, "a")]
    facts = store.metadata()
    assert facts["instance"] == report.instance != before
    assert (facts["version_raise"], facts["session"]) == (str(VERSION_STEP), "kept")
    assert int(facts["restored_at"]) > NOON - 10**15
    assert store.check() == []


def test_restore_publishes_everything_again(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """Deleted twins and those without a version too: the broker may hold something of them."""
    bring_back(backup, path)
    found = {t.key: t.published_version for t in all_pages(open_sqlite())}
    assert found == {TwinKey("a"): 0, TwinKey("a", "gone"): 0, TwinKey("new"): 0}


def test_second_restore_goes_above_the_first(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """The same backup again: versions that were published in between are not used again."""
    bring_back(backup, path)
    store = open_sqlite()
    version = load_one(store, "a").version + 100
    commit(store, [twin("a", revision=3, version=version)])
    store.close()
    assert bring_back(backup, path).raised_by == 2 * VERSION_STEP
    store = open_sqlite()
    assert load_one(store, "a").version > version
    assert store.metadata()["version_raise"] == str(2 * VERSION_STEP)


def test_backup_of_a_restored_store_is_raised_once(
    open_sqlite: OpenSqlite, backup: Path, path: Path, tmp_path: Path
) -> None:
    """A backup that has the first raise already gets one more step, not two."""
    bring_back(backup, path)
    store = open_sqlite()
    store.backup(tmp_path / "tuesday")
    store.close()
    assert bring_back(tmp_path / "tuesday", path).raised_by == VERSION_STEP
    assert load_one(open_sqlite(), "a").version == 14 + 2 * VERSION_STEP


def test_restore_keeps_the_store_that_was_there(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """It is a whole store under another name, and each restore keeps its own."""
    first = bring_back(backup, path).replaced
    second = bring_back(backup, path).replaced
    assert first is not None
    assert second is not None
    assert first != second
    assert first.name.startswith("store.db.before-restore-2")
    with closing(SqliteStore.open(first, limits=StoreLimits())) as old:
        assert load_one(old, "a").version == 40
        assert old.check() == []


def test_restore_into_an_empty_place(backup: Path, tmp_path: Path) -> None:
    """A new machine has no store yet."""
    target = tmp_path / "elsewhere.db"
    assert bring_back(backup, target).replaced is None
    with closing(SqliteStore.open(target, limits=StoreLimits())) as store:
        assert store.count_twins() == 1


def test_restore_leaves_the_backup_and_no_rest(backup: Path, path: Path) -> None:
    """The backup is read only, and nothing half made stays."""
    before = backup.read_bytes()
    replaced = bring_back(backup, path).replaced
    assert replaced is not None
    assert backup.read_bytes() == before
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"store.db", "store.db.lock", "monday", replaced.name}


def test_restore_folds_in_what_a_killed_bridge_left(backup: Path, path: Path) -> None:
    """The log of the replaced store belongs to the kept one, and never to the restored one."""
    path.unlink()
    with Child(COMMIT, path) as child:
        for _ in range(10):
            committed = int(child.line())
        child.kill()
    assert path.with_name("store.db-wal").stat().st_size > 0
    replaced = bring_back(backup, path).replaced
    assert replaced is not None
    with closing(SqliteStore.open(path, limits=StoreLimits())) as store:
        assert store.check() == []
        assert load_one(store, "a").version == 14 + VERSION_STEP
    with closing(SqliteStore.open(replaced, limits=StoreLimits())) as old:
        assert load_one(old, "d1").version >= committed


def test_raw_copy_with_its_log_can_be_restored(tmp_path: Path) -> None:
    """A file and its log, copied from the disk of a dead machine, are as good as a backup."""
    origin = tmp_path / "origin.db"
    with Child(COMMIT, origin) as child:
        for _ in range(10):
            committed = int(child.line())
        child.kill()
    copy = tmp_path / "copy" / "store.db"
    copy.parent.mkdir()
    shutil.copy(origin, copy)
    shutil.copy(origin.with_name("origin.db-wal"), copy.with_name("store.db-wal"))
    bring_back(copy, tmp_path / "new.db")
    with closing(SqliteStore.open(tmp_path / "new.db", limits=StoreLimits())) as store:
        assert load_one(store, "d1").version >= committed + VERSION_STEP


def test_restore_replaces_a_damaged_store(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """That is what a backup is for; the damaged store is kept for who wants to look at it."""
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    path.with_name("store.db-wal").write_bytes(b"some log")
    replaced = bring_back(backup, path).replaced
    assert replaced is not None
    assert replaced.read_bytes() == bytes(content)
    store = open_sqlite()
    assert store.check() == []
    assert load_one(store, "a").version == 14 + VERSION_STEP


def test_restore_is_refused_while_a_bridge_holds_the_store(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """A store in use is never replaced."""
    store = open_sqlite()
    with pytest.raises(StoreLocked):
        bring_back(backup, path)
    assert load_one(store, "a").version == 40


def test_restore_is_refused_while_a_shell_reads_the_store(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """Another program's view of the file would be pulled from under it."""
    open_sqlite().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as shell:
        shell.execute("BEGIN")
        shell.execute("SELECT * FROM twin").fetchone()
        with pytest.raises(StoreUnavailable):
            restore_quickly(backup, path)
    assert load_one(open_sqlite(), "a").version == 40


def restore_quickly(source: Path, path: Path) -> None:
    """Restore, without a long wait for other programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.store.connection.BUSY_TIMEOUT_S", 0.05)
        bring_back(source, path)


def test_restore_of_nothing_is_refused(path: Path, tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(StoreError, match="there is no backup"):
        bring_back(tmp_path / "none", path)
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match="is empty"):
        bring_back(tmp_path / "empty", path)
    assert not path.exists()


def test_restore_of_the_store_itself_is_refused(backup: Path, path: Path) -> None:
    """Nobody wants that."""
    alias = path.with_name("alias")
    alias.symlink_to(path)
    with pytest.raises(StoreError, match="is the store itself"):
        bring_back(alias, path)


def test_restore_of_something_else_is_refused(
    open_sqlite: OpenSqlite, backup: Path, path: Path, tmp_path: Path
) -> None:
    """Text, another program's database, a newer schema: the store stays as it is."""
    before = path.read_bytes()
    text = tmp_path / "text"
    text.write_bytes(b"twins" * 1000)
    other = tmp_path / "other"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    newer = tmp_path / "newer"
    shutil.copy(backup, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute("PRAGMA user_version = 99")
    for source in (text, other, newer):
        with pytest.raises(StoreSchemaError):
            bring_back(source, path)
    assert path.read_bytes() == before


def test_restore_over_something_else_is_refused(backup: Path, tmp_path: Path) -> None:
    """A mistyped path must not cost another program its database."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
    before = other.read_bytes()
    with pytest.raises(StoreSchemaError, match="another program"):
        bring_back(backup, other)
    assert other.read_bytes() == before


def test_restore_over_a_newer_schema_goes_back(
    open_sqlite: OpenSqlite, backup: Path, path: Path
) -> None:
    """After an upgrade that went wrong, the backup from before it can be restored."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    bring_back(backup, path)
    assert load_one(open_sqlite(), "a").version == 14 + VERSION_STEP


def test_damaged_backup_is_refused(
    open_sqlite: OpenSqlite, backup: Path, path: Path, tmp_path: Path
) -> None:
    """A store is not replaced by something worse; the message says what is wrong."""
    before = path.read_bytes()
    inconsistent = tmp_path / "inconsistent"
    shutil.copy(backup, inconsistent)
    with closing(sqlite3.connect(inconsistent)) as connection:
        connection.execute("UPDATE twin SET state = x'7b' WHERE present = 1")
        connection.commit()
    with pytest.raises(StoreCorrupt, match="twin a: its state says version None"):
        bring_back(inconsistent, path)
    broken = tmp_path / "broken"
    content = bytearray(backup.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    broken.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        bring_back(broken, path)
    assert path.read_bytes() == before


def test_unreadable_internals_are_named(open_sqlite: OpenSqlite, backup: Path, path: Path) -> None:
    """What the codec cannot read stops the restore, and the store stays."""

    def refuse(_internals: bytes, _version: int) -> bytes:
        raise ValueError("unknown format")

    with pytest.raises(StoreCorrupt, match="twin a of the backup cannot be read"):
        restore(backup, path, raise_internals=refuse)
    store = open_sqlite()
    assert load_one(store, "a").version == 40
    assert store.check() == []


def test_restore_of_many_twins_takes_all(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    """More twins than one page has, and the quarantine with them."""
    store = open_sqlite("origin")
    commit(store, [twin(f"d{i}") for i in range(2500)])
    store.commit(CommitBatch(quarantined=[refused(1)]))
    store.backup(tmp_path / "backup")
    assert bring_back(tmp_path / "backup", tmp_path / "many.db").twins == 2500
    store = open_sqlite("many")
    assert len(all_pages(store, 700)) == 2500
    assert {t.version for t in all_pages(store, 700)} == {1 + VERSION_STEP}
    assert kept(store) == [refused(1)]


def test_a_restore_withdraws_claims_that_were_open(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    """They may have been used since the backup was made; a used one stays what it is."""
    store = open_sqlite()
    store.claims.add(StoredClaim("11", "a", 1, 1, b"", 1, 9))
    store.claims.add(StoredClaim("22", "a", 1, 1, b"", 1, 9))
    taking = TakenClaim("22", b"hash")
    assert store.device_keys.install("a", 1, 1, b"wrapped", 2, taking) is not None
    store.backup(tmp_path / "monday")
    store.close()
    bring_back(tmp_path / "monday", tmp_path / "store.db")
    claims = {claim.id: claim for claim in open_sqlite().claims.list_all()}
    assert claims["11"].withdrawn_at is not None
    assert (claims["22"].withdrawn_at, claims["22"].taken_at) == (None, 2)
