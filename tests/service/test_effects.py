"""What a batch brings about, as the store gets it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import orjson
import pytest

from bridge.core.limits import Limits
from bridge.core.policy import NO_POLICIES, Policies
from bridge.core.section import JsonObject
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.link.base import Message
from bridge.service.cache import TwinCache
from bridge.service.changes import Changes
from bridge.service.effects import Effects
from bridge.service.reconciler import Reconciler
from bridge.store.base import ConflictRow, StoreLimits
from bridge.store.sqlite import SqliteStore

NOW = 1_795_000_000_000_000
KEY = TwinKey("lamp-1")


class Batches:
    """Messages through the core into a store, a batch each."""

    def __init__(
        self, store: SqliteStore, policies: Policies = NO_POLICIES, decoded_share: float = 0.5
    ) -> None:
        self.store = store
        self.cache = TwinCache(2**20, policies=policies, decoded_share=decoded_share)
        self._clock = NOW
        changes = Changes(Limits(), self.cache, self._now)
        self._reconciler = Reconciler(TopicGrammar(), Limits(), self.cache, changes, self._now)

    def _now(self) -> int:
        self._clock += 1
        return self._clock

    def send(self, topic: str, body: JsonObject) -> Effects:
        """Process a batch of one message and commit it."""
        effects = Effects()
        message = Message(f"sync/lamp-1/{topic}", orjson.dumps(body), 1, False, 1, 1)
        requests = self._reconciler.decode([message], effects)
        if self.cache.missing([KEY]):
            self.cache.put(KEY, self.store.load([KEY]).get(KEY))
        self._reconciler.apply(requests, effects, {})
        assert self.store.commit(effects.encode()) == frozenset()
        for change in effects.twins:
            change.cached.revision += 1
        self.cache.shrink()
        return effects


def test_what_a_concurrent_write_lost_is_in_the_store(tmp_path: Path) -> None:
    """With both values, both writers, the path, and the policy that decided."""
    policies = Policies.parse({"*": {"desired.mode": "device"}}, Limits())
    with closing(SqliteStore.open(tmp_path / "store.db", limits=StoreLimits())) as store:
        batches = Batches(store, policies)
        batches.send("desire/app", {"color": {"r": 1}})
        batches.send("desire/other", {"color": {"r": None}, "$": {"seen": 0}})
        batches.send("desire/lamp-1", {"mode": "eco"})
        batches.send("desire/app", {"mode": "max", "$": {"seen": 2}})
        rows = [row for _, row in store.conflicts(KEY, None, 10)]
        twin = store.load([KEY])[KEY]
        assert store.check() == []
    mode, color = rows
    assert mode._replace(at=0, kept_stamp=0, lost_stamp=0) == ConflictRow(
        KEY, 3, 0, "desired", b'["mode"]', "device", b'"eco"', "lamp-1", 0, b'"max"', "app", 0
    )
    assert color._replace(at=0, kept_stamp=0, lost_stamp=0) == ConflictRow(
        KEY, 2, 0, "desired", b'["color","r"]', "latest", b"null", "other", 0, b"1", "app", 0
    )
    assert NOW < color.lost_stamp < color.kept_stamp <= color.at < mode.at
    assert orjson.loads(twin.state)["desired"] == {"mode": "eco"}


def test_messages_without_conflict_leave_none(tmp_path: Path) -> None:
    """Nothing is kept of who had seen what was there."""
    with closing(SqliteStore.open(tmp_path / "store.db", limits=StoreLimits())) as store:
        batches = Batches(store)
        batches.send("desire/app", {"on": True})
        effects = batches.send("desire/other", {"on": False, "$": {"seen": 1}})
        assert effects.conflicts == []
        assert store.conflicts(None, None, 10) == []


@pytest.mark.parametrize("decoded_share", [0.0, 1.0])
def test_the_delta_is_published_when_its_state_changes(
    tmp_path: Path, decoded_share: float
) -> None:
    """Not with each version; also where the twin comes from bytes in between."""
    with closing(SqliteStore.open(tmp_path / "store.db", limits=StoreLimits())) as store:
        batches = Batches(store, decoded_share=decoded_share)

        def publishes_delta(topic: str, body: JsonObject) -> bool:
            [change] = batches.send(topic, body).twins
            return change.publish_delta

        assert not publishes_delta("report", {"on": False})
        assert publishes_delta("desire/app", {"on": True, "state": {"x": 1}})
        first = store.load([KEY])[KEY].delta
        assert not publishes_delta("report", {"n": 1})
        assert store.load([KEY])[KEY].delta == first
        assert publishes_delta("report", {"state": {"x": 1}})
        assert publishes_delta("report", {"on": True})
        assert store.load([KEY])[KEY].delta is None
        assert publishes_delta("desire/app", {"on": False})
        assert publishes_delta("delete/app", {})


def test_a_repeat_is_stored_with_the_same_state(tmp_path: Path) -> None:
    """What a twin remembers changes without a version; its documents stay byte for byte."""
    with closing(SqliteStore.open(tmp_path / "store.db", limits=StoreLimits())) as store:
        batches = Batches(store)
        batches.send("report", {"on": True, "level": 0.5, "$": {"boot": 1, "seq": 1}})
        before = store.load([KEY])[KEY]
        batches.send("report", {"level": 0.5, "$": {"boot": 1, "seq": 2}})
        after = store.load([KEY])[KEY]
        assert (after.state, after.version) == (before.state, before.version)
        assert after.revision == before.revision + 1
        assert after.internals != before.internals
