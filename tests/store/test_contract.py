"""What every implementation of `bridge.store.base.Store` does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from bridge.core.topics import TwinKey
from bridge.errors import StoreError
from bridge.store.base import CommitBatch, Store, StoreLimits
from tests.store.conftest import OpenStore
from tests.store.samples import (
    NOON,
    all_pages,
    blocks,
    change,
    commit,
    conflict,
    kept,
    load_one,
    refused,
    twin,
)


def test_load_returns_what_was_committed(store: Store) -> None:
    """Every field comes back as it was, bytes and None included."""
    written = [
        twin("a", wanted=True),
        twin("a", name="config", version=0, exists=False),
        twin("plug:3@home~x-1.b"),
    ]
    commit(store, written)
    assert store.load([t.key for t in written]) == {t.key: t for t in written}


def test_load_leaves_out_what_is_not_kept(store: Store) -> None:
    """A missing twin is no error."""
    commit(store, [twin("a")])
    assert set(store.load([TwinKey("a"), TwinKey("b"), TwinKey("a", "x")])) == {TwinKey("a")}
    assert store.load([]) == {}


@pytest.mark.parametrize("count", [1, 2, 3, 2000, 2048, 2049, 5000])
def test_load_takes_any_number_of_keys(store: Store, count: int) -> None:
    """The bounds of one statement are not the caller's business."""
    commit(store, [twin(f"d{i}") for i in range(0, count, 2)])
    found = store.load([TwinKey(f"d{i}") for i in range(count)])
    assert set(found) == {TwinKey(f"d{i}") for i in range(0, count, 2)}


def test_commit_replaces_the_content_of_a_twin(store: Store) -> None:
    """The next revision takes the place of the one before."""
    commit(store, [twin(revision=1, wanted=True)])
    changed = twin(revision=2, version=5, at=NOON + 7, exists=False)
    commit(store, [changed])
    assert load_one(store) == changed._replace(published_version=0)


def test_commit_may_leave_the_version(store: Store) -> None:
    """What a twin remembers can change without a new version."""
    commit(store, [twin(revision=1, version=3)])
    commit(store, [twin(revision=2, version=3)])
    assert load_one(store).revision == 2


def test_stale_commit_writes_nothing_and_names_the_stale(store: Store) -> None:
    """One stale twin, and the whole batch is left out; the names are exactly the stale ones."""
    commit(store, [twin("kept"), twin("moved"), twin("other")])
    commit(store, [twin("moved", revision=2)])
    before = list(store.export())
    stale = store.commit(
        CommitBatch(
            twins=[
                twin("kept", revision=2),
                twin("moved", revision=2),  # somebody else was faster
                twin("other", revision=1),  # it exists already
                twin("unknown", revision=4),  # it was never there
                twin("fresh", revision=1),
            ],
            history=blocks(change(2, "kept")),
            conflicts=[conflict(2, "kept")],
            quarantined=[refused(1)],
            published=[(TwinKey("kept"), 1)],
        )
    )
    assert stale == {TwinKey("moved"), TwinKey("other"), TwinKey("unknown")}
    assert list(store.export()) == before
    assert store.quarantine(10) == []
    assert store.conflicts(None, None, 10) == []


def test_commit_goes_on_after_a_stale_one(store: Store) -> None:
    """Loading again and committing anew is all that a stale batch asks for."""
    commit(store, [twin()])
    assert store.commit(CommitBatch(twins=[twin(revision=1)]))
    commit(store, [load_one(store)._replace(revision=2)])
    assert load_one(store).revision == 2


def test_commit_never_sets_a_version_back(store: Store) -> None:
    """A lower version is an error in the program, and changes nothing."""
    commit(store, [twin(revision=1, version=9)])
    with pytest.raises(StoreError, match="version back"):
        store.commit(CommitBatch(twins=[twin(revision=2, version=8), twin("new")]))
    assert load_one(store).version == 9
    assert store.count_twins() == 1


def test_commit_refuses_a_twin_twice(store: Store) -> None:
    """A batch holds each twin once."""
    with pytest.raises(StoreError, match="twice"):
        store.commit(CommitBatch(twins=[twin(), twin()]))
    assert store.count_twins() == 0


def test_commit_refuses_history_without_a_twin(store: Store) -> None:
    """A change of no twin is an error in the program, and changes nothing."""
    with pytest.raises(StoreError, match="not kept"):
        store.commit(CommitBatch(twins=[twin("a")], history=blocks(change(1, "b"))))
    assert store.count_twins() == 0


def test_commit_of_nothing_is_nothing(store: Store) -> None:
    """An empty batch is no error."""
    assert store.commit(CommitBatch()) == frozenset()
    store.mark_published([])


def test_committed_is_unpublished_until_marked(store: Store) -> None:
    """A version is to be published until the broker has acknowledged it."""
    commit(store, [twin("a"), twin("b")])
    store.mark_published([(TwinKey("a"), 1)])
    assert [t.key.device for t in store.unpublished(None, 10)] == ["b"]
    commit(store, [twin("a", revision=2)])
    assert {t.key.device: t.published_version for t in store.unpublished(None, 10)} == {
        "a": 1,
        "b": 0,
    }


def test_a_twin_without_a_version_has_nothing_to_publish(store: Store) -> None:
    """Version 0 only remembers; nobody has to hear of it."""
    commit(store, [twin(version=0, exists=False)])
    assert store.unpublished(None, 10) == []
    assert store.changed_since(0, None, 10) == []


def test_commit_leaves_what_is_published(store: Store) -> None:
    """What a cached twin believes to be published neither lowers nor raises it."""
    commit(store, [twin(revision=1, version=3)])
    store.mark_published([(TwinKey("lamp-1"), 3)])
    commit(store, [twin(revision=2, version=4, published=0)])
    assert load_one(store).published_version == 3
    commit(store, [twin(revision=3, version=5, published=5)])
    assert load_one(store).published_version == 3


def test_marks_of_a_batch_count_for_its_new_versions(store: Store) -> None:
    """A batch that commits version 2 can mark version 1 as published."""
    commit(store, [twin()])
    batch = CommitBatch(twins=[twin(revision=2)], published=[(TwinKey("lamp-1"), 1)])
    assert store.commit(batch) == frozenset()
    assert load_one(store).published_version == 1


def test_marking_an_unknown_twin_is_nothing(store: Store) -> None:
    """A mark that comes late for something else is no error."""
    store.mark_published([(TwinKey("nobody"), 3)])
    assert store.count_twins() == 0


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_unpublished_pages_hold_each_twin_once(store: Store, limit: int) -> None:
    """Pages cover everything, whatever their size."""
    commit(store, [twin(f"d{i}", name=n) for i in (9, 1, 5) for n in ("", "b", "a")])
    store.mark_published([(TwinKey("d1", "b"), 1)])
    found = [t.key for t in all_pages(store, limit)]
    assert len(found) == len(set(found)) == 8


def test_unpublished_pages_bear_marks_between_them(store: Store) -> None:
    """A reader that publishes each page before it asks for the next one misses nothing."""
    commit(store, [twin(f"d{i}") for i in range(7)])
    seen = []
    after = None
    while page := store.unpublished(after, 2):
        seen += [t.key.device for t in page]
        store.mark_published([(t.key, t.version) for t in page])
        after = page[-1].key
    assert sorted(seen) == [f"d{i}" for i in range(7)]


def test_changed_since_pages_by_time(store: Store) -> None:
    """Everything with a version counts from that time on, deleted twins too."""
    commit(store, [twin(f"d{i}", at=NOON + i) for i in range(5)])
    commit(store, [twin("d3", revision=2, exists=False, at=NOON + 3)])
    found: list[str] = []
    after = None
    while page := store.changed_since(NOON + 2, after, 2):
        found += [t.key.device for t in page]
        after = page[-1].key
    assert sorted(found) == ["d2", "d3", "d4"]


def test_quarantine_comes_newest_first(store: Store) -> None:
    """Messages come back as they were."""
    messages = [refused(i, bytes([i, 0, 255])) for i in range(3)]
    store.commit(CommitBatch(quarantined=messages))
    assert kept(store, 2) == [messages[2], messages[1]]


def test_quarantine_is_bounded_by_count(open_store: OpenStore) -> None:
    """The oldest messages go, also over a restart."""
    limits = StoreLimits(quarantine_messages=5)
    for start in (0, 4, 8):
        store = open_store(limits=limits)
        store.commit(CommitBatch(quarantined=[refused(i) for i in range(start, start + 2)]))
        store.commit(CommitBatch(quarantined=[refused(i) for i in range(start + 2, start + 4)]))
        store.close()
    found = open_store(limits=limits).quarantine(100)
    assert [m.at - NOON for m in found] == [11, 10, 9, 8, 7]


def test_quarantine_is_bounded_by_bytes(open_store: OpenStore) -> None:
    """The payloads that are kept fit into the bound, however large the last one is."""
    store = open_store(limits=StoreLimits(quarantine_bytes=1000))
    for number in range(10):
        store.commit(CommitBatch(quarantined=[refused(number, b"x" * 300)]))
    assert [m.at - NOON for m in store.quarantine(100)] == [9, 8, 7]
    store.commit(CommitBatch(quarantined=[refused(10, b"x" * 1001)]))
    assert store.quarantine(100) == []


def test_quarantine_counts_right_after_a_stale_commit(open_store: OpenStore) -> None:
    """What was rolled back does not count."""
    store = open_store(limits=StoreLimits(quarantine_messages=3))
    commit(store, [twin()])
    store.commit(CommitBatch(quarantined=[refused(0), refused(1)]))
    assert store.commit(CommitBatch(twins=[twin()], quarantined=[refused(8), refused(9)]))
    store.commit(CommitBatch(quarantined=[refused(2)]))
    assert [m.at - NOON for m in store.quarantine(100)] == [2, 1, 0]


def test_quarantine_takes_text_that_is_no_text(store: Store) -> None:
    """Half a surrogate pair in a topic does not make a batch fail."""
    bad = refused(1)._replace(topic="sync/\ud800/report", message="why \udfff\0")
    store.commit(CommitBatch(quarantined=[bad]))
    [found] = store.quarantine(1)
    assert (found.topic, found.message) == ("sync/\\ud800/report", "why \\udfff\0")


def test_metadata_names_the_store_and_keeps_facts(open_store: OpenStore) -> None:
    """The identity stays over a restart, and so does what was set."""
    store = open_store()
    instance = store.metadata()["instance"]
    assert len(bytes.fromhex(instance)) == 16
    assert int(store.metadata()["created_at"]) > NOON - 10**15
    store.set_metadata("session", "one")
    store.set_metadata("session", "two")
    store.close()
    facts = open_store().metadata()
    assert (facts["instance"], facts["session"]) == (instance, "two")
    assert open_store("another").metadata()["instance"] != instance


def test_twin_names_are_of_one_device(store: Store) -> None:
    """Named twins only, deleted ones too."""
    commit(store, [twin("a"), twin("a", name="y"), twin("a", name="x", exists=False)])
    commit(store, [twin("ab", name="z")])
    assert sorted(store.twin_names("a")) == ["x", "y"]
    assert store.twin_names("b") == []


def test_count_twins_counts_those_that_exist(store: Store) -> None:
    """Deleted twins are remembered, and do not count."""
    commit(store, [twin("a"), twin("b"), twin("c", exists=False)])
    assert store.count_twins() == 2
    commit(store, [twin("a", revision=2, exists=False), twin("c", revision=2)])
    commit(store, [twin("b", revision=2, exists=False)])
    assert store.count_twins() == 1


def test_everything_survives_a_restart(open_store: OpenStore) -> None:
    """A store that is closed and opened again holds the same."""
    store = open_store()
    commit(store, [twin("a"), twin("b", wanted=True)], [change(1, "a")], [conflict(1, "b")])
    store.mark_published([(TwinKey("b"), 1)])
    before = list(store.export())
    store.close()
    assert list(open_store().export()) == before


def test_check_finds_nothing_wrong_with_a_sound_store(store: Store) -> None:
    """A store in use is in order."""
    commit(store, [twin("a", wanted=True), twin("b", exists=False)], [change(1, "a")])
    assert store.check() == []


def test_backup_is_the_store_at_that_moment(store: Store, tmp_path: Path) -> None:
    """What is committed afterwards is not in it."""
    commit(store, [twin("a")], [change(1, "a")])
    target = tmp_path / "backup"
    store.backup(target)
    commit(store, [twin("b")])
    assert target.stat().st_size > 0


def test_backup_overwrites_nothing(store: Store, tmp_path: Path) -> None:
    """An existing target is refused, and stays."""
    target = tmp_path / "backup"
    target.write_bytes(b"precious")
    with pytest.raises(StoreError, match="exists already"):
        store.backup(target)
    assert target.read_bytes() == b"precious"


def test_backup_into_a_missing_directory_is_refused(store: Store, tmp_path: Path) -> None:
    """The message says what is missing."""
    with pytest.raises(StoreError, match="missing does not exist"):
        store.backup(tmp_path / "missing" / "backup")


def test_export_holds_everything_but_the_quarantine(store: Store) -> None:
    """A header, the twins, their history, the conflicts, and an end that counts them."""
    twins = [twin("a", wanted=True), twin("b", name="n", exists=False)]
    commit(store, twins, [change(1, "a")], [conflict(1, "a")])
    store.commit(CommitBatch(quarantined=[refused(1)]))
    header, first, second, row, lost, end = map(orjson.loads, store.export())
    assert (header["kind"], header["version"]) == ("header", 2)
    assert header["metadata"]["instance"] == store.metadata()["instance"]
    assert (first["kind"], first["state"]["reported"]) == ("twin", {"level": 0.0})
    assert first["delta"]["state"] == {"on": True}
    assert (second["name"], second["exists"], second["state"]) == ("n", False, None)
    assert (row["kind"], row["patch"], row["previous"]) == (
        "history",
        {"level": 1},
        {"level": None},
    )
    assert (lost["kind"], lost["path"], lost["kept"], lost["lost"]) == (
        "conflict",
        ["color", "r"],
        {"g": 1.0},
        None,
    )
    assert end == {"kind": "end", "twins": 2, "history": 1, "conflicts": 1}


def test_export_is_of_one_moment(store: Store) -> None:
    """Commits while it is read are not in it, and do not wait for it."""
    commit(store, [twin(f"d{i}") for i in range(3)])
    lines = store.export()
    start = next(lines)
    commit(store, [twin("late"), twin("d2", revision=2)])
    exported = [start, *lines]
    assert b'"twins":3' in exported[-1]
    assert b"late" not in b"".join(exported)


def test_any_thread_may_use_the_store(store: Store) -> None:
    """The service's store thread is not the one that opened it."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(commit, store, [twin()]).result()
        assert thread.submit(load_one, store).result().revision == 1
    assert load_one(store).revision == 1


def test_a_closed_store_says_so(store: Store) -> None:
    """Closing twice is nothing; using it afterwards is an error of ours."""
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.load([TwinKey("a")])
    with pytest.raises(StoreError):
        store.commit(CommitBatch(twins=[twin()]))
    with pytest.raises(StoreError):
        list(store.export())
