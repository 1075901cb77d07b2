"""The cache keeps hot twins decoded, others as bytes, and forgets the least recently used."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.core.limits import Limits
from bridge.core.policy import Policies
from bridge.core.reconcile import reconcile
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.core.update import NO_METADATA, Update
from bridge.service.cache import TwinCache
from bridge.service.cached_twin import CachedTwin
from bridge.store.base import StoredTwin
from bridge.store.codec import decode_twin, encode_internals
from bridge.wire import outbound

NOW = 1_795_000_000_000_000
ROOM = 2**30


def row(device: str, size: int = 0) -> StoredTwin:
    """A twin as the store has it, with a text of this size."""
    twin = Twin(TwinKey(device))
    write(twin, {"text": "x" * size}, "desired")
    state, delta = outbound.state_json(twin), outbound.delta_json(twin, twin.delta())
    internals = encode_internals(twin)
    return StoredTwin(twin.key, 7, twin.version, 0, True, twin.at, state, delta, internals)


def write(twin: Twin, patch: JsonObject, section: str = "reported") -> None:
    """Write to a twin, without the store."""
    update = Update(twin.key, section, "app", patch, NO_METADATA, b"")  # type: ignore[arg-type]
    assert reconcile(twin, update, NOW, Limits()).changed


def batch(cache: TwinCache, rows: Iterable[StoredTwin]) -> None:
    """Use these twins in one batch; those that are not in memory are loaded."""
    by_key = {stored.key: stored for stored in rows}
    for key in cache.missing(by_key):
        cache.put(key, by_key[key])
    for key in by_key:
        cache.use(key)
        cache.measure(key)
    cache.shrink()


def decoded(cache: TwinCache) -> set[str]:
    """The devices whose twins are decoded."""
    return {key.device for key in cache._decoded}


def in_memory(cache: TwinCache, devices: str) -> str:
    """Those of the devices, one letter each, whose twins are in memory."""
    missing = cache.missing(TwinKey(device) for device in devices)
    return "".join(d for d in devices if TwinKey(d) not in missing)


ONE_DECODED = CachedTwin(Twin(TwinKey("a")), row("a")).count()


def test_a_twin_that_is_only_kept_comes_back_as_it_was() -> None:
    """From bytes: its documents, its revision and all that it remembers."""
    cache = TwinCache(ROOM, decoded_share=0.0)
    stored = row("a", 10)
    batch(cache, [stored])
    assert decoded(cache) == set()
    again = cache.use(TwinKey("a"))
    assert (again.revision, again.state, again.delta) == (7, stored.state, stored.delta)
    assert again.internals == stored.internals == encode_internals(again.twin)
    assert (again.twin.version, again.twin.exists, again.twin.at) == (1, True, NOW)
    assert again.twin.key is next(iter(cache._at_work))


def test_a_deleted_twin_is_kept_too() -> None:
    """It has no documents, and its version goes on."""
    cache = TwinCache(ROOM, decoded_share=0.0)
    twin = Twin(TwinKey("a"))
    twin.version = 9
    batch(cache, [StoredTwin(twin.key, 3, 9, 0, False, NOW, b"", None, encode_internals(twin))])
    again = cache.use(TwinKey("a"))
    assert (again.state, again.delta, again.twin.version) == (b"", None, 9)
    assert not again.twin.exists


def test_twins_stay_decoded_while_there_is_room() -> None:
    """Nothing is decoded twice for nothing."""
    cache = TwinCache(ROOM)
    batch(cache, [row("a")])
    twin = cache.use(TwinKey("a")).twin
    cache.shrink()
    assert cache.use(TwinKey("a")).twin is twin


def test_what_can_be_encoded_again_is_not_kept_with_a_decoded_twin() -> None:
    """It is made again, and is the same."""
    cache = TwinCache(ROOM)
    stored = row("a", 500)
    batch(cache, [stored])
    cached = cache.use(TwinKey("a"))
    assert (cached._state, cached.internals) == (None, b"")
    assert cached.state == stored.state


def test_a_fleet_beyond_the_budget_does_not_push_itself_out() -> None:
    """Round after round the same twins stay decoded; none is decoded only to go again."""
    cache = TwinCache(2 * (3 * ONE_DECODED + 100))
    fleet = [row(device) for device in "abcdefgh"]
    for stored in fleet:
        batch(cache, [stored])
    stay = decoded(cache)
    assert len(stay) == 3
    for stored in fleet * 2:
        batch(cache, [stored])
    assert decoded(cache) == stay
    assert in_memory(cache, "abcdefgh") == "abcdefgh"


def test_a_twin_that_is_written_often_takes_the_place_of_one_that_is_not() -> None:
    """The one that has not been used for longest is packed, with what was written to it."""
    cache = TwinCache(2 * (2 * ONE_DECODED + 100))
    batch(cache, [row("a")])
    write(cache.use(TwinKey("a")).twin, {"written": 1})
    batch(cache, [row("b")])
    batch(cache, [row("c")])
    assert decoded(cache) == {"a", "b"}
    batch(cache, [row("c")])
    assert decoded(cache) == {"b", "c"}
    assert cache.use(TwinKey("a")).twin.reported.value == {"written": 1}


def test_the_decoded_twin_that_was_unused_for_longest_is_packed() -> None:
    """Not the one that came first."""
    cache = TwinCache(2 * (2 * ONE_DECODED + 100))
    for device in "abcac":
        batch(cache, [row(device)])
    assert decoded(cache) == {"a", "c"}


def test_the_least_recently_used_twin_goes_first() -> None:
    """Using one keeps it."""
    one = TwinCache(ROOM, decoded_share=0.0)
    batch(one, [row("a")])
    cache = TwinCache(3 * one.memory_bytes, decoded_share=0.0)
    for device in "abcd":
        batch(cache, [row(device)])
        batch(cache, [row("a")])
    assert in_memory(cache, "abcd") == "acd"
    assert cache.memory_bytes == 3 * one.memory_bytes


def test_a_twin_that_grows_is_counted_again() -> None:
    """And a large one makes others go."""
    cache = TwinCache(2 * (3 * ONE_DECODED + 100))
    batch(cache, [row("a"), row("b"), row("c")])
    assert decoded(cache) == {"a", "b", "c"}
    cached = cache.use(TwinKey("c"))
    write(cached.twin, {"text": "x" * ONE_DECODED})
    cached.keep(outbound.state_json(cached.twin), encode_internals(cached.twin))
    cache.measure(TwinKey("c"))
    cache.shrink()
    assert decoded(cache) == {"b", "c"}


def test_a_small_change_is_not_counted_again() -> None:
    """Counting takes time, at each commit."""
    cached = CachedTwin(Twin(TwinKey("a")), row("a", 1000))
    assert cached.count() > 0
    cached.keep(b"{" * 1000, cached.internals)
    assert cached.count() == 0
    cached.keep(b"{" * 2000, cached.internals)
    assert cached.count() > 0


def test_a_twin_whose_bytes_were_let_go_counts_for_as_much() -> None:
    """They are of an older one where something was noted beside, such as when it was last seen."""
    cached, other = (CachedTwin(decode_twin(row("a", 100)), row("a", 100)) for _ in range(2))
    other.let_go()
    assert other.count() == cached.count() > 0


def test_what_was_noted_beside_is_packed_too() -> None:
    """Without a commit: the next one may be far off."""
    cache = TwinCache(ROOM, decoded_share=0.0)
    batch(cache, [row("a")])
    cached = cache.use(TwinKey("a"))
    cached.twin.last_seen = NOW + 5
    cached.let_go()
    cache.shrink()
    assert cache.use(TwinKey("a")).twin.last_seen == NOW + 5


def test_twins_of_the_batch_in_work_are_always_there() -> None:
    """Whatever room there is: they go when it is over."""
    cache = TwinCache(0)
    for device in "abc":
        cache.put(TwinKey(device), row(device, 1000))
    assert [cache.use(TwinKey(d)).twin.key.device for d in "abc"] == ["a", "b", "c"]
    cache.shrink()
    assert in_memory(cache, "abc") == ""
    assert cache.memory_bytes == 0


def test_a_dropped_twin_takes_no_room() -> None:
    """Wherever it is; dropping what is not there is allowed."""
    for share in (0.0, 1.0):
        cache = TwinCache(ROOM, decoded_share=share)
        batch(cache, [row("a")])
        assert cache.memory_bytes > 0
        cache.put(TwinKey("b"), row("b"))
        cache.drop([TwinKey("a"), TwinKey("b"), TwinKey("unknown")])
        assert cache.memory_bytes == 0
        assert in_memory(cache, "ab") == ""
        cache.shrink()


def test_a_twin_that_the_store_does_not_know_is_not_kept() -> None:
    """Who asks for invented devices fills nothing; after a restore it begins above its past."""
    cache = TwinCache(ROOM, first_version=50)
    assert cache.put(TwinKey("a"), None).twin.version == 50
    cache.shrink()
    assert in_memory(cache, "a") == ""


def test_twins_have_their_policies_however_they_come() -> None:
    """New, from the store, and from bytes."""
    policies = Policies.parse({"*": {"reported.n": "sum"}}, Limits())
    cache = TwinCache(ROOM, policies=policies, decoded_share=0.0)
    assert cache.put(TwinKey("new"), None).twin.reported.rules is not None
    assert cache.put(TwinKey("a"), row("a")).twin.reported.rules is not None
    cache.shrink()
    assert cache.use(TwinKey("a")).twin.reported.rules is not None
