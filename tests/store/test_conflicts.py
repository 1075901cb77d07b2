"""The conflict log of every kind of store: what it holds, its order, its bound."""

from __future__ import annotations

import pytest

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import CommitBatch, ConflictRow, Store, StoreLimits
from tests.store.conftest import OpenStore
from tests.store.samples import commit, conflict, load_one, twin


def rows(found: list[tuple[int, ConflictRow]]) -> list[ConflictRow]:
    """The entries without their ids."""
    return [row for _, row in found]


def test_conflicts_come_newest_first(store: Store) -> None:
    """Every field comes back; of one twin, or of all in the order of their arrival."""
    lost = [conflict(1, "a"), conflict(1, "b"), conflict(1, "a", name="x"), conflict(2, "a")]
    commit(store, [twin("a"), twin("b"), twin("a", name="x")], [], lost[:3])
    commit(store, [twin("a", revision=2)], [], lost[3:])
    assert rows(store.conflicts(TwinKey("a"), None, 10)) == [lost[3], lost[0]]
    assert rows(store.conflicts(TwinKey("a", "x"), None, 10)) == [lost[2]]
    assert rows(store.conflicts(None, None, 10)) == lost[::-1]
    assert store.conflicts(TwinKey("nobody"), None, 10) == []


@pytest.mark.parametrize("key", [None, TwinKey("lamp-1")])
def test_conflicts_page_by_their_ids(store: Store, key: TwinKey | None) -> None:
    """Entries that come between two pages move none."""
    commit(store, [twin(version=5)], [], [conflict(version) for version in range(1, 6)])
    first = store.conflicts(key, None, 2)
    commit(store, [twin(revision=2, version=6)], [], [conflict(6)])
    second = store.conflicts(key, first[-1][0], 10)
    assert [row.version for row in rows(first + second)] == [5, 4, 3, 2, 1]
    assert store.conflicts(key, second[-1][0], 10) == []


@pytest.mark.parametrize("per_batch", [1, 3, 40])
def test_conflicts_are_bounded_by_count(open_store: OpenStore, per_batch: int) -> None:
    """The newest stay, exactly as many as are wanted after each commit; other twins keep theirs."""
    store = open_store(limits=StoreLimits(conflicts=5))
    commit(store, [twin(), twin("other")], [], [conflict(1), conflict(1, "other")])
    for start in range(2, 42, per_batch):
        versions = range(start, min(start + per_batch, 42))
        revision = load_one(store).revision + 1
        changed = [twin(revision=revision, version=versions[-1])]
        commit(store, changed, [], [conflict(version) for version in versions])
        assert len(store.conflicts(TwinKey("lamp-1"), None, 100)) <= 5
    kept = rows(store.conflicts(TwinKey("lamp-1"), None, 100))
    assert [row.version for row in kept] == [41, 40, 39, 38, 37]
    assert rows(store.conflicts(TwinKey("other"), None, 10)) == [conflict(1, "other")]


def test_conflicts_can_be_switched_off(open_store: OpenStore) -> None:
    """A bound of 0 keeps nothing."""
    store = open_store(limits=StoreLimits(conflicts=0))
    commit(store, [twin()], [], [conflict(1)])
    assert store.conflicts(None, None, 10) == []


def test_conflicts_may_come_without_a_change_of_the_twin(store: Store) -> None:
    """A refused update leaves the twin as it is, and an entry all the same."""
    commit(store, [twin()])
    assert store.commit(CommitBatch(conflicts=[conflict(1)])) == frozenset()
    assert rows(store.conflicts(TwinKey("lamp-1"), None, 10)) == [conflict(1)]


def test_commit_refuses_a_conflict_without_a_twin(store: Store) -> None:
    """A conflict of no twin is an error in the program, and changes nothing."""
    with pytest.raises(StoreError, match="not kept"):
        store.commit(CommitBatch(twins=[twin("a")], conflicts=[conflict(1, "b")]))
    assert store.count_twins() == 0
