"""What every store keeps of fleet changes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import CommitBatch, Store
from bridge.store.codec import raise_horizon
from bridge.store.fleet_changes import (
    CHANGES_KEPT,
    StoredFleetChange,
    StoredTarget,
    TargetNote,
)
from bridge.store.restore import restore
from tests.store.conftest import OpenStore
from tests.store.samples import NOON, twin

KEYS = [TwinKey("lamp-1"), TwinKey("lamp-2", "net"), TwinKey("lamp-3")]


def change(change_id: str = "5f0c2a91", **changed: object) -> StoredFleetChange:
    """Return a change."""
    row = StoredFleetChange(
        change_id,
        NOON,
        "anna",
        True,
        "online",
        b'{"on":true}',
        b'{"stages":[100.0]}',
        len(KEYS),
        "running",
        0,
        0,
        "",
        b"[]",
        1,
        NOON,
    )
    return row._replace(**changed)  # type: ignore[arg-type]


def test_a_change_is_kept_with_its_devices_in_their_order(store: Store) -> None:
    """Page by page, or only those in some states."""
    assert store.fleet_changes.add(change(), KEYS)
    assert store.fleet_changes.find("5f0c2a91") == change()
    assert store.fleet_changes.find("00000000") is None
    found = store.fleet_changes.targets("5f0c2a91", -1, 2)
    assert found == [StoredTarget(n, KEYS[n], "pending", None, "") for n in range(2)]
    assert [row.position for row in store.fleet_changes.targets("5f0c2a91", 1, 2)] == [2]
    note = TargetNote("5f0c2a91", 1, "refused", None, "403")
    store.fleet_changes.update(change(status="halted", revision=2), [note])
    assert store.fleet_changes.find("5f0c2a91") == change(status="halted", revision=2)
    (refused,) = store.fleet_changes.targets("5f0c2a91", -1, 9, ["refused", "timed_out"])
    assert refused == StoredTarget(1, KEYS[1], "refused", None, "403")


def test_what_was_there_before_is_kept_with_the_twin_or_not_at_all(store: Store) -> None:
    """A commit that is refused leaves the device as it was; a later note leaves what is kept."""
    store.fleet_changes.add(change(), KEYS)
    note = TargetNote("5f0c2a91", 0, "in_flight", b'{"on":null}')
    store.commit(CommitBatch([twin("lamp-1")]))
    assert store.commit(CommitBatch([twin("lamp-1", revision=5)], targets=[note]))
    assert store.fleet_changes.targets("5f0c2a91", -1, 1)[0].state == "pending"
    assert not store.commit(CommitBatch([twin("lamp-1", revision=2)], targets=[note]))
    store.fleet_changes.update(change(), [TargetNote("5f0c2a91", 0, "converged")])
    (target,) = store.fleet_changes.targets("5f0c2a91", -1, 1)
    assert (target.state, target.prior) == ("converged", b'{"on":null}')


def test_a_note_without_a_twin_is_committed_too(store: Store) -> None:
    """Where every write was refused."""
    store.fleet_changes.add(change(), KEYS)
    store.commit(CommitBatch(targets=[TargetNote("5f0c2a91", 2, "skipped", None, "gone")]))
    assert store.fleet_changes.targets("5f0c2a91", 1, 1)[0].why == "gone"


def test_the_oldest_change_that_has_ended_goes_for_a_new_one(store: Store) -> None:
    """With its devices; where none has ended, there is no room."""
    for number in range(CHANGES_KEPT):
        row = change(f"{number:08x}", created_at=NOON + number)
        assert store.fleet_changes.add(row, KEYS)
    assert not store.fleet_changes.add(change("ffffffff"), KEYS)
    assert store.fleet_changes.find("ffffffff") is None
    for number in (7, 5):
        row = change(f"{number:08x}", status="halted" if number == 5 else "done")
        store.fleet_changes.update(row)
    assert store.fleet_changes.add(change("ffffffff", created_at=NOON + 1000), KEYS)
    kept = store.fleet_changes.list_all()
    assert len(kept) == CHANGES_KEPT
    assert kept[0].id == "ffffffff"
    assert store.fleet_changes.find(f"{5:08x}") is None
    assert store.fleet_changes.targets(f"{5:08x}", -1, 9) == []
    assert store.fleet_changes.find(f"{7:08x}") is not None


def test_an_id_is_given_once(store: Store) -> None:
    """The second change of that id is not kept."""
    store.fleet_changes.add(change(), KEYS)
    with pytest.raises(StoreError):
        store.fleet_changes.add(change(), KEYS)


def test_a_restored_change_is_paused(open_store: OpenStore, tmp_path: Path) -> None:
    """How far it had come when the backup was made is not how far it has come."""
    with contextlib.closing(open_store("old")) as store:
        store.fleet_changes.add(change(), KEYS)
        store.fleet_changes.add(change("00000001", status="done"), KEYS)
        store.backup(tmp_path / "backup.db")
    restore(tmp_path / "backup.db", tmp_path / "new.db", raise_internals=raise_horizon)
    found = {row.id: (row.status, row.why) for row in open_store("new").list_fleet_changes()}
    assert found == {
        "5f0c2a91": ("paused", "the store was restored from a backup"),
        "00000001": ("done", ""),
    }
