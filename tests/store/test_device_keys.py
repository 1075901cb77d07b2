"""Keys of devices in every kind of store: ids, states, and what goes when one is revoked."""

from __future__ import annotations

import pytest

from bridge.store import sqlite_device_keys
from bridge.store.audit import AuditRow
from bridge.store.base import CommitBatch, Store
from bridge.store.device_keys import KEYS_PER_DEVICE, StoredDeviceKey
from bridge.store.sealed_windows import SealedPlace, SealedWindow
from tests.store.conftest import OpenStore

WRAPPED = b"\x01" + bytes(60)


def install(store: Store, device: str = "lamp-1", now: int = 1) -> int:
    """Give a device its next key."""
    keys = store.device_keys
    row = keys.install(device, keys.next_id(device), 1, WRAPPED, now)
    assert row is not None
    return row.key_id


def states(store: Store, device: str = "lamp-1") -> dict[int, str]:
    """What state each key is in."""
    return {key.key_id: key.state for key in store.device_keys.of_device(device)}


def prove(store: Store, key_id: int, now: int = 9) -> None:
    """Let lamp-1 use a key."""
    store.commit(CommitBatch(proven_keys=[("lamp-1", key_id, now)]))


def test_a_key_comes_back_as_it_was_kept(open_store: OpenStore) -> None:
    """Also from a store that was closed meanwhile."""
    store = open_store()
    kept = store.device_keys.install("lamp-1", 1, 2, WRAPPED, 77)
    store.close()
    keys = open_store().device_keys
    assert kept == keys.find("lamp-1", 1) == keys.of_device("lamp-1")[0] == keys.list_all()[0]
    assert kept is not None
    assert (kept.algorithm, kept.wrapped, kept.created_at, kept.state) == (2, WRAPPED, 77, "active")
    assert keys.find("lamp-1", 2) is keys.find("lamp-2", 1) is None


def test_the_wrapped_key_is_not_shown() -> None:
    """Not where a row is logged or stands in a traceback."""
    assert "secret" not in repr(StoredDeviceKey("lamp-1", 1, 1, b"secret", 0, "active", 0))


def test_a_key_id_is_never_given_twice(store: Store) -> None:
    """Also where all keys of the device are revoked; each device counts for itself."""
    assert [install(store), install(store, "lamp-2"), install(store)] == [1, 1, 2]
    store.device_keys.revoke("lamp-1", None, 2)
    assert install(store) == 3
    assert store.device_keys.install("lamp-1", 3, 1, WRAPPED, 9) is None
    assert store.device_keys.install("lamp-1", 2, 1, WRAPPED, 9) is None


def test_a_new_key_takes_nothing_from_the_one_in_use(store: Store) -> None:
    """It is next; another new one takes the place of what was never used."""
    install(store)
    install(store)
    assert states(store) == {2: "next", 1: "active"}
    install(store)
    assert states(store) == {3: "next", 2: "revoked", 1: "active"}


def test_a_key_that_was_used_takes_the_place_of_the_other(store: Store) -> None:
    """The one before goes on opening; the one before that does not."""
    install(store)
    install(store)
    prove(store, 2)
    assert states(store) == {2: "active", 1: "retiring"}
    prove(store, 2)
    prove(store, 1)
    assert states(store) == {2: "active", 1: "retiring"}
    install(store)
    prove(store, 3, now=10)
    assert states(store) == {3: "active", 2: "retiring", 1: "revoked"}
    assert [key.changed_at for key in store.device_keys.of_device("lamp-1")] == [10, 10, 10]


def test_a_next_key_becomes_active_by_order(store: Store) -> None:
    """As if it had been used; only one that is next, and only then the act is written."""
    install(store)
    act = AuditRow(5, "socket", "anna", "key.activate", "lamp-1", "done", "{}")
    assert not store.device_keys.activate("lamp-1", 1, 5, act)
    assert not store.device_keys.activate("lamp-1", 2, 5, act)
    assert store.audit(10) == []
    install(store)
    install(store, "lamp-2")
    assert store.device_keys.activate("lamp-1", 2, 6, act)
    assert states(store) == {2: "active", 1: "retiring"}
    assert states(store, "lamp-2") == {1: "active"}
    assert [row.act for row in store.audit(10)] == ["key.activate"]


def test_a_revoked_key_is_gone_at_once(store: Store) -> None:
    """One of them, or all; what was wrapped is not kept, and that there was one is."""
    install(store)
    install(store)
    install(store, "lamp-2")
    assert store.device_keys.revoke("lamp-1", 2, 5) == 1
    assert states(store) == {2: "revoked", 1: "active"}
    assert store.device_keys.revoke("lamp-1", None, 6) == 1
    assert store.device_keys.revoke("lamp-1", None, 7) == 0
    assert [key.wrapped for key in store.device_keys.of_device("lamp-1")] == [b"", b""]
    assert [key.changed_at for key in store.device_keys.of_device("lamp-1")] == [5, 6]
    assert states(store, "lamp-2") == {1: "active"}


def test_keys_of_one_device_are_bounded(store: Store) -> None:
    """Those that open nothing go, the oldest first; the one in use stays."""
    for _ in range(KEYS_PER_DEVICE + 5):
        install(store)
    kept = states(store)
    assert kept[1] == "active"
    assert len(kept) == KEYS_PER_DEVICE + 1
    assert store.device_keys.next_id("lamp-1") == KEYS_PER_DEVICE + 6


def test_no_key_id_is_given_again_after_forgetting(store: Store) -> None:
    """Not even to who has asked for one before; the keys and what was received with them go."""
    keys = store.device_keys
    install(store)
    install(store)
    place = SealedPlace("lamp-1", 2, b"p" * 16)
    assert keys.forget("lamp-1", 5) is None
    assert states(store) == {2: "next", 1: "active"}
    keys.revoke("lamp-1", None, 3)
    store.commit(CommitBatch(windows=[SealedWindow(place, 1, 0)]))
    act = AuditRow(5, "offline", "root", "key.forget", "lamp-1")
    assert keys.forget("lamp-1", 5, act) == 2
    assert (keys.of_device("lamp-1"), store.sealed_windows([place])[0]) == ([], {})
    assert keys.changed_since(4) == ["lamp-1"]
    assert keys.changed_since(6) == []
    assert keys.forget("lamp-1", 6, act) == 0
    assert [row.act for row in store.audit(10)] == ["key.forget"]
    assert keys.install("lamp-1", 2, 1, WRAPPED, 7) is None
    assert install(store, now=8) == 3
    assert states(store) == {3: "active"}
    keys.revoke("lamp-1", None, 9)
    assert keys.forget("lamp-1", 9) == 1
    assert install(store) == 4


def test_what_is_forgotten_counts_among_the_keys_that_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that there is a bound."""
    monkeypatch.setattr(sqlite_device_keys, "DEVICE_KEYS_KEPT", 2)
    for device in ("lamp-1", "lamp-2"):
        install(store, device)
        store.device_keys.revoke(device, None, 2)
        store.device_keys.forget(device, 3)
    assert store.device_keys.install("lamp-3", 1, 1, WRAPPED, 4) is None
