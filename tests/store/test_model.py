"""Stores of every kind against a model of a few lines, and laws of the marks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.core.topics import TwinKey
from bridge.store.base import CommitBatch, StoredTwin
from tests.store.conftest import OpenStore
from tests.store.samples import NOON, all_pages, load_one, twin

_counter = itertools.count()

# Every example opens a store of its own below the one directory of the test.
one_directory = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DEVICES = st.sampled_from(["a", "b", "c"])


@one_directory
@given(marks=st.lists(st.integers(0, 12), max_size=8), version=st.integers(1, 10))
def test_marks_only_raise(open_store: OpenStore, marks: Sequence[int], version: int) -> None:
    """Whatever the marks and their order: the largest counts, and the version is the bound."""
    store = open_store(f"marks-{next(_counter)}")
    store.commit(CommitBatch(twins=[twin(version=version)]))
    before = 0
    for mark in marks:
        store.mark_published([(TwinKey("lamp-1"), mark)])
        published = load_one(store).published_version
        assert published == max(before, min(mark, version))
        before = published
    assert bool(store.unpublished(None, 1)) == (before < version)
    store.close()


@one_directory
@given(marks=st.lists(st.integers(0, 12), min_size=1, max_size=6))
def test_marks_may_come_in_any_order_and_number(open_store: OpenStore, marks: list[int]) -> None:
    """In one call, one after the other, or turned around: the outcome is the same."""
    outcomes = set()
    for sequence in (marks, sorted(marks, reverse=True), marks + marks):
        store = open_store(f"order-{next(_counter)}")
        store.commit(CommitBatch(twins=[twin(version=10)]))
        store.mark_published([(TwinKey("lamp-1"), mark) for mark in sequence])
        outcomes.add(load_one(store).published_version)
        store.close()
    assert len(outcomes) == 1


class Model:
    """What a store keeps of twins."""

    def __init__(self) -> None:
        self.twins: dict[TwinKey, StoredTwin] = {}

    def commit(self, twins: Sequence[StoredTwin], marks: Sequence[tuple[TwinKey, int]]) -> set[str]:
        """Return the devices that are stale; else write."""
        stale = {
            t.key.device
            for t in twins
            if t.revision != (self.twins[t.key].revision + 1 if t.key in self.twins else 1)
        }
        if stale:
            return stale
        for t in twins:
            published = self.twins[t.key].published_version if t.key in self.twins else 0
            self.twins[t.key] = t._replace(published_version=published)
        for key, version in marks:
            if key in self.twins:
                t = self.twins[key]
                raised = max(t.published_version, min(version, t.version))
                self.twins[key] = t._replace(published_version=raised)
        return set()


@one_directory
@given(data=st.data())
def test_store_does_what_the_model_does(open_store: OpenStore, data: st.DataObject) -> None:
    """Any sequence of commits, stale or not, with marks, deletions and unchanged versions."""
    name = f"model-{next(_counter)}"
    store = open_store(name)
    model = Model()
    for _ in range(data.draw(st.integers(1, 8), label="batches")):
        batch = []
        for device in data.draw(st.sets(DEVICES), label="twins"):
            kept = model.twins.get(TwinKey(device))
            revision = (kept.revision if kept else 0) + 1
            revision = max(1, revision + data.draw(st.sampled_from([0, 0, 0, 0, 1, -1])))
            version = (kept.version if kept else 0) + data.draw(st.integers(0, 3))
            exists = version > 0 and data.draw(st.booleans())
            at = NOON + data.draw(st.integers(0, 5))
            batch.append(twin(device, revision=revision, version=version, exists=exists, at=at))
        marks = [
            (TwinKey(device), data.draw(st.integers(0, 12)))
            for device in data.draw(st.sets(DEVICES), label="marks")
        ]
        stale = store.commit(CommitBatch(twins=batch, published=marks))
        assert {key.device for key in stale} == model.commit(batch, marks)
        if data.draw(st.booleans(), label="restart"):
            store.close()
            store = open_store(name)
        assert store.load([TwinKey(d) for d in "abc"]) == model.twins
        since = NOON + data.draw(st.integers(0, 6))
        assert {t.key for t in store.changed_since(since, None, 10)} == {
            key for key, t in model.twins.items() if t.version > 0 and t.at >= since
        }
        assert {t.key for t in all_pages(store, 1)} == {
            key for key, t in model.twins.items() if t.published_version < t.version
        }
        assert store.count_twins() == sum(t.exists for t in model.twins.values())
    assert store.check() == []
    store.close()


@pytest.mark.parametrize("count", [0, 1, 2500])
def test_a_whole_batch_is_one_commit(open_store: OpenStore, count: int) -> None:
    """Batches of any size are written whole."""
    store = open_store()
    store.commit(CommitBatch(twins=[twin(f"d{i}") for i in range(count)]))
    assert store.count_twins() == count
