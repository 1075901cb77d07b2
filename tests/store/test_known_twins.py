"""What the store's owner knows of twins' rows, and when it must forget it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridge.core.topics import TwinKey
from bridge.store import known_twins
from bridge.store.base import CommitBatch, StoredTwin
from bridge.store.known_twins import KnownTwins
from bridge.store.sqlite import SqliteStore
from tests.store.samples import blocks, change, twin

KEY = TwinKey("lamp-1")


def _commit(store: SqliteStore, *twins: StoredTwin, **more: object) -> frozenset[TwinKey]:
    return store.commit(CommitBatch(list(twins), **more))  # type: ignore[arg-type]


def _known(store: SqliteStore) -> KnownTwins:
    return store._known


def _outbox(store: SqliteStore) -> list[tuple[int, int]]:
    return store._connection.execute("SELECT * FROM outbox ORDER BY twin_id").fetchall()


def test_the_outbox_keeps_the_version_that_the_broker_has(
    open_sqlite: Callable[..., SqliteStore],
) -> None:
    """However often the twin changes before the next mark, and whoever knows its row."""
    store = open_sqlite()
    _commit(store, twin())
    store.mark_published([(KEY, 1)])
    assert _outbox(store) == []

    for revision in (2, 3, 4):
        _commit(store, twin(revision=revision))
        if revision == 3:
            _known(store).forget()

    assert [version for _, version in _outbox(store)] == [1]
    store.mark_published([(KEY, 4)])
    assert _outbox(store) == []
    _commit(store, twin(revision=5))
    assert [version for _, version in _outbox(store)] == [4]


def test_a_twin_whose_version_stays_is_not_in_the_outbox(
    open_sqlite: Callable[..., SqliteStore],
) -> None:
    """Only its memory has changed: there is nothing to publish."""
    store = open_sqlite()
    _commit(store, twin())
    store.mark_published([(KEY, 1)])

    _commit(store, twin(revision=2, version=1))
    assert _outbox(store) == []
    _commit(store, twin(revision=3, version=2))

    assert [version for _, version in _outbox(store)] == [1]


def test_what_was_rolled_back_is_not_known(open_sqlite: Callable[..., SqliteStore]) -> None:
    """Neither the row of a new twin, nor its place in the outbox."""
    store = open_sqlite()
    _commit(store, twin())
    # Another twin of the batch is stale, so that nothing of it is written.
    assert _commit(store, twin("new"), twin(revision=7)) == {KEY}

    assert _known(store).find(TwinKey("new")) is None
    assert _commit(store, twin("new"), twin(revision=2)) == frozenset()
    assert len(_outbox(store)) == 2
    assert store.load([KEY])[KEY].version == 2


def test_more_twins_than_are_known_are_still_written(
    open_sqlite: Callable[..., SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are forgotten when there are too many, also in the middle of a commit."""
    monkeypatch.setattr(known_twins, "KNOWN_TWINS", 3)
    store = open_sqlite()
    names = [f"d{number}" for number in range(10)]
    _commit(store, *(twin(name) for name in names))

    stale = _commit(
        store,
        *(twin(name, revision=2) for name in names),
        history=blocks(*(change(2, name) for name in names)),
        published=[(TwinKey(name), 2) for name in names],
    )

    assert stale == frozenset()
    assert _outbox(store) == []
    assert [len(store.history(TwinKey(name), None, 9)) for name in names] == [1] * 10
    assert len(_known(store)._rows) <= 3


def test_a_place_in_the_outbox_that_was_rolled_back_is_taken_again(
    open_sqlite: Callable[..., SqliteStore],
) -> None:
    """Else the broker would be thought to have the new version."""
    store = open_sqlite()
    _commit(store, twin(), twin("other"))
    store.mark_published([(KEY, 1), (TwinKey("other"), 1)])
    assert _commit(store, twin(revision=2), twin("other", revision=7)) == {TwinKey("other")}

    assert _commit(store, twin(revision=2)) == frozenset()

    assert [version for _, version in _outbox(store)] == [1]
