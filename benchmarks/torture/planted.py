"""Bugs planted in a bridge from outside, to show that the checker can fail."""

from __future__ import annotations

import copy
import itertools
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Final, cast

from benchmarks.torture.launch import Launch
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.twin import Twin
from bridge.link.base import Answered, Publication
from bridge.link.broker_link import BrokerLink
from bridge.store.base import CommitBatch
from bridge.store.sqlite import SqliteStore

COMMITTED_LATE_S: Final = 0.25
"""How long after its acknowledgement a batch is committed, where that is the bug."""


def install(launch: Launch) -> None:
    """Plant the bug that a launch names, if it names one."""
    if launch.plant == "acknowledge-before-commit":
        _acknowledge_before_commit()
    elif launch.plant == "publish-older-version":
        _publish_older_version(launch.plant_every)
    elif launch.plant == "drop-update":
        _drop_update(launch.plant_every)
    elif launch.plant == "delta-off-by-one":
        _put_delta_off(launch.plant_every)


def _acknowledge_before_commit() -> None:
    """Say that it is committed, and do it a little later."""
    commit, load, close = SqliteStore.commit, SqliteStore.load, SqliteStore.close
    waiting: deque[tuple[float, CommitBatch]] = deque()
    lock = threading.Lock()

    def settle(store: SqliteStore, older_than_s: float) -> None:
        with lock:
            while waiting and time.monotonic() - waiting[0][0] >= older_than_s:
                commit(store, waiting.popleft()[1])

    def commit_late(self: SqliteStore, batch: CommitBatch) -> frozenset[TwinKey]:
        waiting.append((time.monotonic(), batch))
        settle(self, COMMITTED_LATE_S)
        return frozenset()

    def load_all(self: SqliteStore, keys):  # type: ignore[no-untyped-def]
        settle(self, 0.0)
        return load(self, keys)

    def close_after(self: SqliteStore) -> None:
        settle(self, 0.0)
        close(self)

    SqliteStore.commit = commit_late  # type: ignore[method-assign]
    SqliteStore.load = load_all  # type: ignore[method-assign]
    SqliteStore.close = close_after  # type: ignore[method-assign]


def _publish_older_version(every: int) -> None:
    """Publish the state before the last one, once in `every` times."""
    send, counted = BrokerLink.send, itertools.count(1)
    older: dict[str, deque[bytes]] = {}

    def send_older(self: BrokerLink, publication: Publication, answered: Answered) -> None:
        if publication.topic.endswith("/state"):
            before = older.setdefault(publication.topic, deque(maxlen=2))
            payload = publication.payload
            if next(counted) % every == 0 and len(before) == 2:
                publication = replace(publication, payload=before[0])
            before.append(payload)
        send(self, publication, answered)

    BrokerLink.send = send_older  # type: ignore[method-assign]


def _drop_update(every: int) -> None:
    """Leave one update in `every` out of its transaction, and answer it all the same."""
    commit, counted = SqliteStore.commit, itertools.count(1)

    def commit_most(self: SqliteStore, batch: CommitBatch) -> frozenset[TwinKey]:
        dropped = {row.key for row in batch.history if next(counted) % every == 0}
        if dropped:
            batch = replace(
                batch,
                twins=[twin for twin in batch.twins if twin.key not in dropped],
                history=[row for row in batch.history if row.key not in dropped],
            )
        return commit(self, batch)

    SqliteStore.commit = commit_most  # type: ignore[method-assign]


def _put_delta_off(every: int) -> None:
    """Add one to a number of a delta, once in `every` times."""
    delta, counted = Twin.delta, itertools.count(1)

    def delta_off(self: Twin) -> JsonObject:
        right = delta(self)
        number = next((k for k, v in right.items() if type(v) is int), None)
        if number is None or next(counted) % every:
            return right
        wrong = copy.deepcopy(right)
        wrong[number] = cast("int", wrong[number]) + 1
        return wrong

    Twin.delta = delta_off  # type: ignore[method-assign]
