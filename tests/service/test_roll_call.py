"""Every device is asked once, also over a restart. The store is real, the clock is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bridge.config import Config, StoreConfig
from bridge.core.orders import Deletion
from bridge.core.topics import TwinKey
from bridge.core.update import NO_METADATA, Update
from bridge.errors import StoreUnavailable
from bridge.service import apply_offline, roll_call
from bridge.service.clock import now_us
from bridge.service.roll_call import RollCall
from bridge.service.store_thread import StoreThread
from bridge.store.base import Store
from bridge.store.restore import RESTORED_AT
from bridge.store.sqlite import SqliteStore

DELAY_S = 10.0
INTERVAL_S = 60.0
TWINS = [*(TwinKey(f"d{number}") for number in range(7)), TwinKey("d3", "config")]


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StoreThread]:
    """A store with some twins, one of them deleted, read in pages of two."""
    monkeypatch.setattr(roll_call, "PAGE_TWINS", 2)
    config = Config(store=StoreConfig(path=tmp_path / "store.db"))
    thread = StoreThread(
        lambda: SqliteStore.open(config.store.path, limits=config.store.to_limits())
    )
    await thread.open()

    def fill(opened: Store) -> None:
        for key in (*TWINS, TwinKey("gone")):
            order = Update(key, "reported", key.device, {"on": True}, NO_METADATA, b"")
            apply_offline(opened, config, key, order, now_us)
        apply_offline(opened, config, TwinKey("gone"), Deletion("app"), now_us)

    await thread.run(fill)
    yield thread
    await thread.close()


def make(store: StoreThread) -> RollCall:
    """A roll call, as a bridge has it at its start."""
    return RollCall(store, DELAY_S, INTERVAL_S)


async def facts(store: StoreThread) -> dict[str, str]:
    """What the store knows."""
    return {**await store.run(lambda opened: opened.metadata())}


async def take(calls: RollCall, now: float, count: int = 1000) -> list[tuple[TwinKey, str]]:
    """Ask so many, or all that are left."""
    found = []
    while len(found) < count and (taken := await calls.take(now)) is not None:
        found.append(taken)
    return found


async def test_every_twin_is_asked_once_after_the_delay(store: StoreThread) -> None:
    """Named ones too, and deleted ones not; then it is over."""
    calls = make(store)
    calls.begin("session_lost", 100.0)
    assert calls.begins_at == 100.0 + DELAY_S
    assert await take(calls, 109.0) == []
    asked = await take(calls, 110.0)
    assert sorted(asked) == sorted((key, "session_lost") for key in TWINS)
    assert calls.begins_at is None
    assert await take(calls, 1000.0) == []


@pytest.mark.parametrize("asked_before", range(9))
async def test_it_goes_on_after_a_restart_and_leaves_nobody_out(
    store: StoreThread, asked_before: int
) -> None:
    """Of one page some are asked again."""
    calls = make(store)
    calls.begin("session_lost", 100.0)
    await calls.keep()
    before = await take(calls, 110.0, asked_before)
    again = make(store)
    again.resume(await facts(store), 5.0)
    after = await take(again, 5.0 + DELAY_S)
    assert {*before, *after} == {(key, "session_lost") for key in TWINS}
    assert len({*before} & {*after}) <= 2
    assert make_resumed(await facts(store)) is None


def make_resumed(known: dict[str, str]) -> float | None:
    """When a bridge that finds these facts would ask."""
    calls = RollCall(StoreThread(lambda: pytest.fail("not needed")), DELAY_S, INTERVAL_S)
    calls.resume(known, 0.0)
    return calls.begins_at


async def test_a_restore_makes_every_device_be_asked_once(store: StoreThread) -> None:
    """Not again at the next start, but after the next restore."""
    assert make_resumed(await facts(store)) is None
    for restored_at in ("1", "2"):
        at = restored_at
        await store.run(lambda opened, at=at: opened.set_metadata(RESTORED_AT, at))  # type: ignore[misc]
        calls = make(store)
        calls.resume(await facts(store), 0.0)
        assert calls.must_be_kept
        await calls.keep()
        assert not calls.must_be_kept
        half = await take(calls, 10.0, 3)
        calls = make(store)
        calls.resume(await facts(store), 0.0)
        assert not calls.must_be_kept
        rest = await take(calls, 10.0)
        assert {*half, *rest} == {(key, "store_restored") for key in TWINS}
        assert make_resumed(await facts(store)) is None


async def test_a_session_lost_again_begins_anew_but_not_sooner_than_the_interval(
    store: StoreThread,
) -> None:
    """A broker that crashes again and again does not make the first devices be asked each time."""
    calls = make(store)
    calls.begin("session_lost", 0.0)
    calls.begin("session_lost", 5.0)
    assert calls.begins_at == 5.0 + DELAY_S
    first = await take(calls, 20.0, 3)
    calls.begin("session_lost", 21.0)
    assert calls.begins_at == 5.0 + DELAY_S + INTERVAL_S
    assert await take(calls, 40.0) == []
    assert (await take(calls, 75.0))[:3] == first


async def test_a_store_that_cannot_be_used_loses_nothing(
    store: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, from where it was."""
    calls = make(store)
    calls.begin("session_lost", 0.0)
    run = store.run

    async def fail(_function: object) -> None:
        raise StoreUnavailable("planted")

    asked = []
    for number in range(2 * len(TWINS) + 10):
        monkeypatch.setattr(store, "run", run if number % 2 else fail)
        try:
            asked += await take(calls, 10.0, 1)
            await calls.keep()
        except StoreUnavailable:
            continue
    assert sorted(asked) == sorted((key, "session_lost") for key in TWINS)
    assert make_resumed(await facts(store)) is None


async def test_what_could_not_be_written_down_is_written_later(
    store: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a restart would not know of it."""
    calls = make(store)
    calls.begin("session_lost", 0.0)
    with monkeypatch.context() as patch:

        async def fail(_function: object) -> None:
            raise StoreUnavailable("planted")

        patch.setattr(store, "run", fail)
        with pytest.raises(StoreUnavailable):
            await calls.keep()
    assert calls.must_be_kept
    await calls.keep()
    assert make_resumed(await facts(store)) == DELAY_S


async def test_a_roll_call_that_begins_while_a_page_is_read_begins_at_the_first_twin(
    store: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of the other one does not count for it."""
    calls = make(store)
    calls.begin("session_lost", 0.0)
    await take(calls, 10.0, 2)
    run = store.run

    async def begin_meanwhile(function: Callable[[Store], object]) -> object:
        found = await run(function)
        if isinstance(found, list):
            monkeypatch.undo()
            calls.begin("store_restored", 20.0)
        return found

    monkeypatch.setattr(store, "run", begin_meanwhile)
    assert await take(calls, 20.0) == []
    asked = await take(calls, 100.0)
    assert sorted(asked) == sorted((key, "store_restored") for key in TWINS)


@pytest.mark.parametrize(
    "fact", ["", "{", "[]", '{"reason":"gap","after":null}', '{"reason":"session_lost","after":7}']
)
def test_a_fact_that_cannot_be_read_is_none(fact: str) -> None:
    """Nobody is asked for it."""
    assert make_resumed({roll_call.ROLL_CALL: fact}) is None
