"""When too much waits for the broker, the rest waits in the store, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from bridge import metrics
from bridge.config import BrokerConfig
from bridge.core.topics import TwinKey
from bridge.errors import LinkLost
from bridge.service import Bridge, unpublished
from bridge.service import publisher as publisher_module
from bridge.service.waiting import LeftBehind
from tests.service.test_publisher import make_publisher, state
from tests.support.bridge import WAIT_S, connected_client, make_config, retained, running_bridge
from tests.support.mosquitto import Mosquitto

DEVICES = 300
MAY_WAIT = 10


@pytest.fixture(autouse=True)
def few_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few twins may wait in memory, and few are read at once."""
    monkeypatch.setattr(publisher_module, "WAITING_TWINS", MAY_WAIT)
    monkeypatch.setattr(unpublished, "PAGE_TWINS", 7)


async def until_published(bridge: Bridge) -> None:
    """Wait until the store knows of nothing that the broker has not acknowledged."""
    async with asyncio.timeout(WAIT_S):
        while await bridge.run_store(lambda store: store.unpublished(None, 1)):
            await asyncio.sleep(0.05)


async def test_everything_is_published_although_it_comes_faster_than_the_broker_takes_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The newest version of every twin, with its delta."""
    config = make_config(mosquitto, tmp_path)
    broker = BrokerConfig(url=config.broker.url, publish_window=1)
    config = config.model_copy(update={"broker": broker})
    left: list[int] = []
    async with connected_client(mosquitto) as client, running_bridge(config) as bridge:
        add = bridge._publisher.left_behind.add
        bridge._publisher.left_behind.add = lambda at: (left.append(at), add(at))[1]  # type: ignore[method-assign]
        for number in range(DEVICES):
            await client.publish(f"sync/d{number}/desire/app", {"v": number})
        for number in range(DEVICES):
            await client.publish(f"sync/d{number}/report", {"w": number})
        async with asyncio.timeout(WAIT_S):
            while bridge.counters.value(metrics.UPDATES_CHANGED) < 2 * DEVICES:
                await asyncio.sleep(0.01)
        await until_published(bridge)
    assert left, "nothing was left behind, so nothing was shown"
    found = await retained(mosquitto, "sync/+/state", "sync/+/delta")
    for number in range(DEVICES):
        document = orjson.loads(found[f"sync/d{number}/state"])
        assert document["desired"] == {"v": number}
        assert document["reported"] == {"w": number}
        delta = orjson.loads(found[f"sync/d{number}/delta"])
        assert delta["state"] == {"v": number}


async def test_what_the_last_end_left_over_is_published_while_new_updates_are_taken(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """More than may wait in memory."""
    config = make_config(mosquitto, tmp_path)
    async with connected_client(mosquitto) as client:
        async with running_bridge(config) as bridge:
            for number in range(DEVICES):
                await client.publish(f"sync/d{number}/report", {"v": number})
            async with asyncio.timeout(WAIT_S):
                while bridge.counters.value(metrics.UPDATES_CHANGED) < DEVICES:
                    await asyncio.sleep(0.01)
        with closing(sqlite3.connect(config.store.path)) as store:
            store.execute("INSERT OR IGNORE INTO outbox SELECT id, 0 FROM twin")
            store.commit()
        async with running_bridge(config) as bridge:
            await client.publish("sync/another/report", {"v": -1})
            async with asyncio.timeout(WAIT_S):
                while bridge.counters.value(metrics.PUBLISHED) <= DEVICES:
                    await asyncio.sleep(0.01)
            await until_published(bridge)


async def test_a_newer_version_does_what_the_one_that_was_left_would_have_done() -> None:
    """Its delta was left with it."""
    link, publisher = make_publisher(0)
    publisher.offer([state(f"d{number}", 1) for number in range(MAY_WAIT)])
    publisher.offer([state("late", 5, delta=b'{"delta":1}')])
    assert publisher.backlog.twins == MAY_WAIT
    assert publisher.oldest_waiting_at() == 1
    link.window = 2 * MAY_WAIT
    publisher.pump()
    await link.answer()
    assert publisher.oldest_waiting_at() == 5
    publisher.offer([state("late", 6, delta=None)])
    publisher.pump()
    assert link.topics()[-2:] == ["sync/late/state", "sync/late/delta"]


async def test_what_is_on_its_way_is_not_sent_twice() -> None:
    """The store does not know of it yet."""
    link, publisher = make_publisher(10)
    publisher.offer([state("a", 3), state("b", 3)])
    publisher.pump()
    await link.answer(1)
    publisher.offer_unpublished([state("a", 3), state("b", 3), state("c", 3)])
    publisher.pump()
    await link.answer()
    assert link.topics() == ["sync/a/state", "sync/b/state", "sync/c/state"]
    publisher.offer_unpublished([state("a", 4)])
    publisher.pump()
    assert publisher.backlog.in_flight == 1
    assert publisher.take_acknowledged(everything=True) == [
        (TwinKey("a"), 3),
        (TwinKey("b"), 3),
        (TwinKey("c"), 3),
    ]


async def test_what_is_published_again_is_not_left_behind_when_its_connection_is_lost() -> None:
    """The broker has the version already, so that the store would not bring it back."""
    link, publisher = make_publisher(1)
    publisher.offer([state("rotated", 3)], rebuild=True)
    publisher.pump()
    publisher.offer([state(f"d{number}", 1) for number in range(2 * MAY_WAIT)])
    await link.answer(error=LinkLost("cut"))
    link.window = 4 * MAY_WAIT
    publisher.pump()
    await link.answer()
    assert link.topics().count("sync/rotated/state") == 2
    await publisher.wait_until_rebuilt()


def test_what_is_left_while_it_is_read_takes_another_reading() -> None:
    """And a reading that failed has read nothing."""
    left = LeftBehind()
    assert (bool(left), left.oldest_at) == (False, None)
    left.add(7)
    left.begin()
    assert (bool(left), left.oldest_at) == (True, 7)
    left.add(9)
    left.end()
    assert (bool(left), left.oldest_at) == (True, 9)
    left.begin()
    left.give_up()
    assert (bool(left), left.oldest_at) == (True, 9)
    left.begin()
    left.end()
    assert (bool(left), left.oldest_at) == (False, None)
