"""What the bridge counts and measures. Exporting it is `bridge.service.exposition`'s matter.

Everything here is cheap enough for the way of a message: a counter is an entry of a dict, and how
long a stage takes is measured once a batch.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

MESSAGES: Final = "messages_received"
UPDATES_CHANGED: Final = "updates_changed"
UPDATES_DUPLICATE: Final = "updates_duplicate"
UPDATES_SUPERSEDED: Final = "updates_superseded"
UPDATES_REFUSED: Final = "updates_refused"
QUARANTINED: Final = "messages_quarantined"
RESPONSE_TOPICS_IGNORED: Final = "response_topics_ignored"
BATCHES: Final = "batches_committed"
COMMIT_FAILURES: Final = "commit_failures"
PUBLISHED: Final = "publishes_acknowledged"
PUBLISH_REFUSED: Final = "publishes_refused"
REPLIES_DROPPED: Final = "replies_dropped"
EVENTS_DROPPED: Final = "events_dropped"
RESYNCS: Final = "resyncs_asked"
SILENT_OFFLINE: Final = "devices_offline_by_silence"
SESSIONS_LOST: Final = "sessions_lost"
REBUILT: Final = "twins_rebuilt"
CONFLICTS: Final = "conflicts"
FLEET_TARGETS: Final = "fleet_targets"
CACHE_LOOKUPS: Final = "cache_lookups"
CACHE_MISSES: Final = "cache_misses"

WAIT: Final = "wait"
DECODE: Final = "decode"
LOAD: Final = "load"
RECONCILE: Final = "reconcile"
ENCODE: Final = "encode"
COMMIT: Final = "commit"
HAND_OFF: Final = "hand_off"
OFFER: Final = "offer"
SEND: Final = "send"
BATCH: Final = "batch"
PUBLISH: Final = "publish"

STAGES: Final = {
    WAIT: "the first message of a batch waited in the link",
    DECODE: "payloads became requests",
    LOAD: "twins that were not in memory came from the store",
    RECONCILE: "requests were applied to twins",
    ENCODE: "changed twins became bytes",
    COMMIT: "the store's thread wrote the transaction to the disk",
    HAND_OFF: "the transaction was on its way to the store's thread, and its result back",
    OFFER: "what was committed was queued for the broker",
    SEND: "what fitted into the window was sent, and the batch acknowledged",
    BATCH: "from taking a batch out of the link to its acknowledgement",
    PUBLISH: "from sending a twin to the broker's PUBACK, one twin at a time",
}
"""The stages that are measured, in the order in which a message goes through them."""

STAGE_BOUNDS_S: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""From a step of a batch of one message to a disk that hangs until the batch is given up."""

SIZE_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 10_000)
"""From a batch of one message to more than `limits.batch_messages` has by default."""


class Histogram:
    """Observations, counted by size.

    Args:
        bounds: Upper bounds of the buckets, the lowest first; a last bucket has no bound.

    Attributes:
        bounds: The same.
        total: Sum of all observations.
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def counts(self) -> tuple[int, ...]:
        """Observations in each bucket, that without a bound last."""
        return tuple(self._counts)


class Trace(Protocol):
    """Is told of each stage when it is over; see `bridge.service.tracing`."""

    def stage(self, name: str, began: float, ended: float) -> None:
        """Take note of a stage of the work in hand; times as `Stages.clock` tells them."""

    def work(self, name: str, began: float, ended: float, size: int) -> None:
        """Take note that the work in hand is done, whose stages were told before."""

    def alone(self, name: str, began: float, ended: float) -> None:
        """Take note of a stage that is over and belongs to no work in hand."""


class Stages:
    """How long each stage of the pipeline takes.

    One batch or order is in hand at a time, so that its stages need not say whose they are.

    Args:
        clock: A clock that does not go back, in s.

    Attributes:
        clock: The same.
        trace: Told of everything too; None where nobody wants it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.trace: Trace | None = None
        self.histograms: Mapping[str, Histogram] = {
            stage: Histogram(STAGE_BOUNDS_S) for stage in STAGES
        }

    def took(self, stage: str, duration_s: float) -> None:
        """Count how long a stage took."""
        self.histograms[stage].observe(duration_s)

    def ran(self, stage: str, began: float, ended: float) -> None:
        """Count a stage that was from one time to another."""
        self.histograms[stage].observe(ended - began)
        if self.trace is not None:
            self.trace.stage(stage, began, ended)

    def since(self, stage: str, began: float) -> float:
        """Count a stage that ends now; returns the time, at which the next one may begin."""
        now = self.clock()
        self.ran(stage, began, now)
        return now

    def alone(self, stage: str, began: float) -> None:
        """Count a stage that ends now, whatever is in hand meanwhile."""
        now = self.clock()
        self.took(stage, now - began)
        if self.trace is not None:
            self.trace.alone(stage, began, now)

    def done(self, work: str, began: float, size: int) -> None:
        """Note that the work in hand is done.

        Args:
            work: "batch" or "orders"; only batches are counted.
            began: When it was begun.
            size: Messages or orders in it.
        """
        now = self.clock()
        if work == BATCH:
            self.took(BATCH, now - began)
        if self.trace is not None:
            self.trace.work(work, began, now, size)


class Counters:
    """Counters since the start, each perhaps with one label such as the error's name.

    Attributes:
        stages: How long each stage takes.
        batch_messages: Messages in each batch.
        batch_twins: Twins in each commit.
    """

    def __init__(self) -> None:
        self.stages = Stages()
        self.batch_messages = Histogram(SIZE_BOUNDS)
        self.batch_twins = Histogram(SIZE_BOUNDS)
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, label: str = "", count: int = 1) -> None:
        """Count something that happened."""
        self._counts[name, label] += count

    def value(self, name: str, label: str = "") -> int:
        """Return one counter."""
        return self._counts[name, label]

    def labelled(self, name: str) -> Mapping[str, int]:
        """Return one counter by its labels."""
        return {label: count for (key, label), count in self._counts.items() if key == name}

    def snapshot(self) -> Mapping[str, int]:
        """Return all counters, as `name` or `name.label`."""
        return {
            f"{name}.{label}" if label else name: count
            for (name, label), count in sorted(self._counts.items())
        }
