"""When questions are sent, without a broker: the clock is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from bridge import metrics
from bridge.config import Config, ResyncConfig, StoreConfig
from bridge.core.limits import Limits
from bridge.core.orders import carry_out
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.core.twin import Twin
from bridge.core.update import Metadata, Update
from bridge.errors import StoreUnavailable
from bridge.logs import RateLimited, get_logger
from bridge.service import apply_offline
from bridge.service.clock import now_us
from bridge.service.resync import RETRY_S, Resync
from bridge.service.store_thread import StoreThread
from bridge.store.base import Store
from bridge.store.sqlite import SqliteStore
from tests.service.test_publisher import RecordingLink, make_publisher

TIMEOUT_S = 10.0
INTERVAL_S = 60.0


def device(number: int) -> TwinKey:
    """The device of a number."""
    return TwinKey(f"d{number}")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreThread]:
    """A store with three twins."""
    config = Config(store=StoreConfig(path=tmp_path / "store.db"))
    thread = StoreThread(
        lambda: SqliteStore.open(config.store.path, limits=config.store.to_limits())
    )
    await thread.open()

    def fill(opened: Store) -> None:
        for number in range(3):
            key = device(number)
            order = Update(key, "reported", key.device, {"on": True}, Metadata(), b"")
            apply_offline(opened, config, key, order, now_us)

    await thread.run(fill)
    yield thread
    await thread.close()


class Asking:
    """A resync at work, and what it has sent."""

    def __init__(self, store: StoreThread, per_s: int = 100) -> None:
        link, publisher = make_publisher(1000)
        self._link: RecordingLink = link
        self._now = 0.0
        self.woken = 0
        self.resync = Resync(
            ResyncConfig(gap_timeout_s=TIMEOUT_S, interval_s=INTERVAL_S, per_s=per_s),
            TopicGrammar(),
            "json",
            store,
            publisher,
            metrics.Counters(),
            RateLimited(get_logger("test"), lambda: 0.0),
            self._wake,
        )

    def _wake(self) -> None:
        self.woken += 1

    def hear_a_gap(self, key: TwinKey, now: float) -> None:
        """Have a device report its first and its third message."""
        twin = Twin(key)
        for seq in (1, 3):
            metadata = Metadata(boot="b", seq=seq)
            carry_out(
                twin,
                Update(key, "reported", key.device, {"n": seq}, metadata, b"{}"),
                1_700_000_000_000_000,
                Limits(),
            )
        self.resync.heard(twin, now)

    async def until(self, end: float) -> list[tuple[float, str, str]]:
        """Let the time pass; returns when which device was asked, and why."""
        found = []
        while (next_at := self.resync.next_at(self._now)) is not None and next_at <= end:
            self._now = max(self._now, next_at)
            before = len(self._link.sent)
            await self.resync.act(self._now)
            found += [
                (self._now, sent.topic.split("/")[1], orjson.loads(sent.payload)["reason"])
                for sent in self._link.sent[before:]
            ]
            await self._link.answer()
        return found


async def test_nobody_is_asked_without_a_connection(store: StoreThread) -> None:
    """Afterwards, what waited at the broker may come first."""
    asking = Asking(store)
    asking.hear_a_gap(device(0), 0.0)
    assert await asking.until(1000.0) == []
    asking.resync.connected(1000.0)
    assert await asking.until(1020.0) == [(1010.0, "d0", "gap")]
    asking.resync.disconnected()
    assert await asking.until(2000.0) == []


async def test_who_is_asked_with_everybody_is_not_asked_for_its_gap_as_well(
    store: StoreThread,
) -> None:
    """One full report answers both."""
    asking = Asking(store)
    asking.resync.connected(0.0)
    asking.resync.session_lost(0.0)
    asking.hear_a_gap(device(1), 5.0)
    asked = await asking.until(60.0)
    assert sorted(name for _, name, _ in asked) == ["d0", "d1", "d2"]
    assert {(at, reason) for at, _, reason in asked} == {(10.0, "session_lost")}
    assert await asking.until(75.0) == [(70.0, "d1", "gap")]


async def test_one_pace_holds_for_all_questions(store: StoreThread) -> None:
    """Gaps first: what is missing there is known."""
    asking = Asking(store, per_s=1)
    asking.resync.connected(0.0)
    asking.resync.session_lost(0.0)
    for number in (7, 8):
        asking.hear_a_gap(device(number), 0.0)
    asked = await asking.until(60.0)
    assert [reason for _, _, reason in asked] == ["gap"] * 2 + ["session_lost"] * 3
    assert asked[-1][0] - asked[0][0] >= 3.5


async def test_a_store_that_cannot_be_used_holds_up_gaps_by_nothing(
    store: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking everybody is tried again, not all the time."""
    asking = Asking(store)
    asking.resync.connected(0.0)
    asking.resync.session_lost(0.0)
    asking.hear_a_gap(device(7), 0.0)
    run = store.run
    attempts = 0

    async def fail(_function: object) -> None:
        nonlocal attempts
        attempts += 1
        raise StoreUnavailable("planted")

    monkeypatch.setattr(store, "run", fail)
    assert await asking.until(0.0) == []
    assert await asking.until(20.0) == [(10.0, "d7", "gap")]
    assert 20 / RETRY_S - 1 <= attempts <= 20 / RETRY_S + 1
    monkeypatch.setattr(store, "run", run)
    assert sorted(name for _, name, _ in await asking.until(40.0)) == ["d0", "d1", "d2"]


async def test_the_timer_is_woken_when_something_is_due_earlier(store: StoreThread) -> None:
    """And not by every report."""
    asking = Asking(store)
    asking.resync.connected(0.0)
    woken = asking.woken
    asking.hear_a_gap(device(0), 0.0)
    assert asking.woken == woken + 1
    for number in range(20):
        asking.hear_a_gap(device(number), 1.0)
    assert asking.woken == woken + 1
