"""What the quarantine keeps of a message, how it is searched, and how it is cleared."""

from __future__ import annotations

from bridge.store.base import CommitBatch, Store, StoreLimits
from bridge.store.quarantined import EVERYTHING, QuarantineFilter
from tests.store.conftest import OpenStore
from tests.store.samples import NOON, refused


def numbers(store: Store, wanted: QuarantineFilter = EVERYTHING) -> list[int]:
    """Which of the samples are kept, the newest first."""
    return [message.at - NOON for message in store.quarantine(100, None, wanted)]


def test_only_the_beginning_of_a_payload_is_kept(open_store: OpenStore) -> None:
    """As much as is configured; the size is that of the whole."""
    store = open_store(limits=StoreLimits(quarantine_payload_bytes=4))
    store.commit(CommitBatch(quarantined=[refused(1, b"0123456789")]))
    [found] = store.quarantine(10)
    assert (found.payload, found.size_bytes) == (b"0123", 10)
    [cut] = store.quarantine(10, payload_bytes=2)
    assert cut.payload == b"01"
    assert store.quarantined(found.id) == found
    assert store.quarantined(found.id + 1) is None


def test_no_payload_is_kept_where_they_are_secret(open_store: OpenStore) -> None:
    """The reason, the sender and the size are."""
    store = open_store(limits=StoreLimits(quarantine_payload_bytes=0))
    store.commit(CommitBatch(quarantined=[refused(1, b"secret")]))
    [found] = store.quarantine(10)
    assert (found.payload, found.size_bytes, found.writer) == (b"", 6, "d1")


def test_messages_are_found_by_device_reason_and_time(store: Store) -> None:
    """All that is given has to apply."""
    messages = [refused(n)._replace(error="forbidden" if n % 2 else "bad_json") for n in range(6)]
    store.commit(CommitBatch(quarantined=messages))
    assert numbers(store, QuarantineFilter(device="d3")) == [3]
    assert numbers(store, QuarantineFilter(error="forbidden")) == [5, 3, 1]
    assert numbers(store, QuarantineFilter(since=NOON + 2, until=NOON + 4)) == [3, 2]
    assert numbers(store, QuarantineFilter(error="forbidden", until=NOON + 3)) == [1]
    assert numbers(store, QuarantineFilter(device="d3", error="bad_json")) == []
    assert store.count_quarantine(QuarantineFilter(error="forbidden")) == (3, 9)


def test_pages_go_on_before_the_last_message(store: Store) -> None:
    """Without a gap or a repeat."""
    store.commit(CommitBatch(quarantined=[refused(n) for n in range(5)]))
    found = []
    before = None
    while page := store.quarantine(2, before):
        found += page
        before = page[-1].id
    assert [message.at - NOON for message in found] == [4, 3, 2, 1, 0]


def test_clearing_takes_the_oldest_first(open_store: OpenStore) -> None:
    """Only those that are meant, so many at once; what is kept is counted anew."""
    store = open_store(limits=StoreLimits(quarantine_messages=6))
    messages = [refused(n)._replace(error="forbidden" if n % 2 else "bad_json") for n in range(6)]
    store.commit(CommitBatch(quarantined=messages))
    assert store.clear_quarantine(QuarantineFilter(error="forbidden"), 2) == 2
    assert numbers(store) == [5, 4, 2, 0]
    assert store.clear_quarantine(QuarantineFilter(device="d9"), 2) == 0
    store.commit(CommitBatch(quarantined=[refused(6), refused(7)]))
    assert numbers(store) == [7, 6, 5, 4, 2, 0]
    assert store.clear_quarantine(EVERYTHING, 100) == 6
    assert numbers(store) == []
