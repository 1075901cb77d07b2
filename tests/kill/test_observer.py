"""The observer finds what must not be published."""

from __future__ import annotations

import orjson

from benchmarks.observer import Observer
from benchmarks.packets import Publish


def show(observer: Observer, version: int, counter: int, *, retain: bool = False) -> None:
    """Let a state of `lamp-1` arrive."""
    payload = orjson.dumps({"version": version, "reported": {"n": counter}, "desired": {}})
    observer.take(Publish("sync/lamp-1/state", payload, retain, 1))


async def test_versions_and_content_may_grow_and_repeat() -> None:
    """The same version again is counted, and no more."""
    observer = Observer("sync")
    for version in (1, 3, 3, 4):
        show(observer, version, version)
    assert observer.violations == []
    assert (observer.states, observer.repeats) == (4, 1)


async def test_a_version_that_goes_back_is_found() -> None:
    """Both versions are named."""
    observer = Observer("sync")
    show(observer, 2, 2)
    show(observer, 1, 2)
    assert observer.violations == ["lamp-1: the state went back from version 2 to 1"]


async def test_two_contents_of_one_version_are_found() -> None:
    """A version that was published before its commit, and made again after it."""
    observer = Observer("sync")
    show(observer, 2, 2)
    show(observer, 2, 3)
    (found,) = observer.violations
    assert "version 2 was published with two contents" in found


async def test_content_that_goes_back_is_found_where_updates_carry_a_seq() -> None:
    """Where they do not, a redelivery may do that, and it is counted."""
    observer = Observer("sync")
    show(observer, 2, 2)
    show(observer, 3, 1)
    assert observer.violations == [
        "lamp-1: reported.n went back from 2 to 1 between versions 2 and 3"
    ]
    lenient = Observer("sync", {("lamp-1", "reported")})
    show(lenient, 2, 2)
    show(lenient, 3, 1)
    assert (lenient.violations, lenient.replayed) == ([], 1)


async def test_what_a_broker_had_retained_is_not_the_bridges_doing() -> None:
    """An older state with the retain flag is a broker's memory, and counted as such."""
    observer = Observer("sync")
    show(observer, 2, 2)
    show(observer, 1, 1, retain=True)
    show(observer, 3, 3)
    assert (observer.violations, observer.stale_retained) == ([], 1)


async def test_a_refusal_and_what_cannot_be_read_are_found() -> None:
    """Neither may happen in a run."""
    observer = Observer("sync")
    refusal = orjson.dumps({"$": {"id": "1", "ok": False, "code": 413}})
    observer.take(Publish("sync/lamp-1/reply/lamp-1", refusal, False, 1))
    observer.take(Publish("sync/lamp-1/state", b"?", False, 1))
    assert len(observer.violations) == 2
