"""Windows of sealed messages in every kind of store: kept with the twin, gone with the key."""

from __future__ import annotations

from pathlib import Path

from bridge.core.topics import TwinKey
from bridge.store.base import CommitBatch, Store, StoreLimits
from bridge.store.sealed_windows import PLACES_AT_ONCE, SealedPlace, SealedWindow
from bridge.store.sqlite import SqliteStore
from tests.store.processes import Child
from tests.store.samples import twin

PLACE = SealedPlace("lamp-1", 1, b"p" * 16)

COMMIT_WINDOWS = """
import sys
from pathlib import Path
from bridge.store.base import CommitBatch, StoreLimits
from bridge.store.sealed_windows import SealedPlace, SealedWindow
from bridge.store.sqlite import SqliteStore
from tests.store.samples import twin
store = SqliteStore.open(Path(sys.argv[1]), limits=StoreLimits())
place = SealedPlace("lamp-1", 1, b"p" * 16)
kept = store.load([twin().key])
revision = max((t.revision for t in kept.values()), default=0)
print(revision, flush=True)
while True:
    revision += 1
    window = SealedWindow(place, revision, revision & 1)
    assert not store.commit(CommitBatch([twin(revision=revision)], windows=[window]))
    print(revision, flush=True)
"""
"""Commits a twin and a window that says the same number, and says each when it is durable."""


def test_windows_come_back_as_they_were_kept(store: Store) -> None:
    """The newest content of each; of a key that lacks one it is said how many it has."""
    windows = [SealedWindow(PLACE._replace(place=bytes([n]) * 16), n, n) for n in range(3)]
    store.commit(CommitBatch(windows=windows))
    newer = SealedWindow(windows[1].place, 2**53 - 1, 2**63 - 1)
    store.commit(CommitBatch(windows=[newer]))
    missing = PLACE._replace(key_id=2)
    found, counts = store.sealed_windows([*(w.place for w in windows), missing, PLACE])
    kept = {windows[0].place: windows[0], newer.place: newer, windows[2].place: windows[2]}
    assert found == kept
    assert counts == {("lamp-1", 2): 0, ("lamp-1", 1): 3}


def test_any_number_of_places_can_be_asked_for(store: Store) -> None:
    """More than one statement takes."""
    places = [PLACE._replace(place=n.to_bytes(16)) for n in range(2 * PLACES_AT_ONCE + 1)]
    store.commit(CommitBatch(windows=[SealedWindow(place, 0, 0) for place in places]))
    assert len(store.sealed_windows(places)[0]) == len(places)
    assert store.sealed_windows([]) == ({}, {})


def test_windows_go_with_their_key(store: Store) -> None:
    """What it has sealed never opens again; those of another key stay."""
    keys = store.device_keys
    for device in ("lamp-1", "lamp-2"):
        keys.install(device, 1, 1, b"w", 1)
    other = PLACE._replace(device="lamp-2")
    store.commit(CommitBatch(windows=[SealedWindow(PLACE, 1, 0), SealedWindow(other, 1, 0)]))
    keys.revoke("lamp-1", None, 2)
    assert list(store.sealed_windows([PLACE, other])[0]) == [other]


def test_a_batch_that_is_refused_leaves_no_window(store: Store) -> None:
    """All or nothing: a window without its twin would lose a message."""
    store.commit(CommitBatch([twin()]))
    batch = CommitBatch([twin(revision=3)], windows=[SealedWindow(PLACE, 1, 0)])
    assert store.commit(batch) == {TwinKey("lamp-1")}
    assert store.sealed_windows([PLACE])[0] == {}


def test_a_window_survives_the_killing_of_its_process(tmp_path: Path) -> None:
    """Whatever was said to be durable is there, and twin and window always say the same."""
    path = tmp_path / "store.db"
    said = 0
    for _ in range(3):
        with Child(COMMIT_WINDOWS, path) as child:
            assert int(child.line()) >= said
            for _ in range(20):
                said = int(child.line())
            said = int((child.kill() or [str(said)])[-1])
        store = SqliteStore.open(path, limits=StoreLimits())
        revision = store.load([TwinKey("lamp-1")])[TwinKey("lamp-1")].revision
        window = store.sealed_windows([PLACE])[0][PLACE]
        store.close()
        assert revision >= said
        assert (window.highest, window.seen) == (revision, revision & 1)
