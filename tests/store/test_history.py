"""What every implementation of `bridge.store.base.Store` does with the history."""

from __future__ import annotations

import pytest

from bridge.core.topics import TwinKey
from bridge.store.base import Store, StoreLimits
from tests.store.conftest import OpenStore
from tests.store.samples import NOON, change, commit, load_one, twin


def test_history_comes_newest_first(store: Store) -> None:
    """A page, and the page below it; each twin has its own."""
    rows = [change(version) for version in range(1, 6)]
    commit(store, [twin(version=5), twin(name="x")], [*rows, change(1, name="x")])
    assert store.history(TwinKey("lamp-1"), None, 2) == [rows[4], rows[3]]
    assert store.history(TwinKey("lamp-1"), 4, 2) == [rows[2], rows[1]]
    assert store.history(TwinKey("lamp-1"), 1, 2) == []
    assert store.history(TwinKey("nobody"), None, 2) == []


@pytest.mark.parametrize("per_batch", [1, 7, 300])
def test_history_is_bounded_by_count(open_store: OpenStore, per_batch: int) -> None:
    """The newest changes stay, and at most 64 above the bound."""
    store = open_store(limits=StoreLimits(history_changes=10))
    commit(store, [twin(), twin("other")], [change(1), change(1, "other")])
    for start in range(2, 321, per_batch):
        versions = range(start, min(start + per_batch, 321))
        revision = load_one(store).revision + 1
        commit(store, [twin(revision=revision, version=versions[-1])], [*map(change, versions)])
        assert len(store.history(TwinKey("lamp-1"), None, 1000)) <= 10 + 64 + per_batch
    # Version 320 is one at which the history is cut.
    kept = [row.version for row in store.history(TwinKey("lamp-1"), None, 1000)]
    assert kept[:10] == list(range(320, 310, -1))
    # What was committed together goes together.
    assert len(kept) < 10 + per_batch
    assert len(store.history(TwinKey("other"), None, 10)) == 1


def test_history_is_bounded_by_age(open_store: OpenStore) -> None:
    """Changes that are too old go when the history is cut."""
    store = open_store(limits=StoreLimits(history_age_us=50))
    for version in range(1, 65):
        change_now = change(version, at=NOON + version)
        commit(store, [twin(revision=version, version=version)], [change_now])
    assert [row.version for row in store.history(TwinKey("lamp-1"), None, 100)] == [
        *range(64, 13, -1)
    ]


def test_changes_of_one_commit_are_paged_and_read_singly(store: Store) -> None:
    """Whatever was committed together: a page may end, and begin, between any two versions."""
    rows = [change(version) for version in range(1, 8)]
    commit(store, [twin(version=3)], rows[:3])
    commit(store, [twin(revision=2, version=7)], rows[3:])
    key = TwinKey("lamp-1")
    for below in range(1, 9):
        for limit in range(1, 8):
            expected = [row for row in reversed(rows) if row.version < below][:limit]
            assert store.history(key, below, limit) == expected


def test_history_can_be_switched_off(open_store: OpenStore) -> None:
    """A bound of 0 keeps nothing."""
    store = open_store(limits=StoreLimits(history_changes=0))
    commit(store, [twin()], [change(1)])
    assert store.history(TwinKey("lamp-1"), None, 10) == []
