"""What the bridge has counted, and how it stands now, as Prometheus reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from bridge import __version__, metrics
from bridge.errors import StoreError
from bridge.link.base import Link
from bridge.service.cache import TwinCache
from bridge.service.families import PREFIX, counted, measured
from bridge.service.publisher import Publisher
from bridge.service.store_thread import StoreThread
from bridge.service.watch import Watch

COUNT_INTERVAL_S: Final = 60.0
"""How old the number of twins may be: to count a million of them takes the store a moment."""

COUNT_TIMEOUT_S: Final = 0.5
"""How long an answer waits for the store: when that hangs, metrics are wanted most."""


class Exposition(Collector):
    """All metrics of a running bridge; to be called on its event loop.

    Args:
        store_path: The store's file.
        counters: What has happened.
        link: The connection to the broker.
        store: The store.
        cache: The twins in memory.
        publisher: What waits for the broker.
        watch: What is missing of devices.
    """

    def __init__(
        self,
        store_path: Path,
        counters: metrics.Counters,
        link: Link,
        store: StoreThread,
        cache: TwinCache,
        publisher: Publisher,
        watch: Watch,
    ) -> None:
        self._store_path = store_path
        self._counters = counters
        self._link = link
        self._store = store
        self._cache = cache
        self._publisher = publisher
        self._watch = watch
        self._twins = 0
        self._count_again_at = float("-inf")
        self._counting: asyncio.Task[None] | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def __call__(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their media type.

        Args:
            accept: The header of that name; it chooses between Prometheus' text and OpenMetrics.
        """
        await self._count_twins()
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called by the registry."""
        yield from counted(self._counters)
        yield from measured(self._counters)
        yield from self._of_link()
        yield from self._of_cache()
        yield from self._of_publisher()
        yield from self._of_store()
        yield _gauge(
            "gaps", "Twins whose reports have gaps, or had until lately.", self._watch.open_gaps
        )
        build = GaugeMetricFamily(f"{PREFIX}build_info", "1, for its labels.", labels=("version",))
        build.add_metric((__version__,), 1)
        yield build

    def _of_link(self) -> Iterator[Metric]:
        link, backlog = self._link, self._link.backlog
        yield _gauge("link_connected", "1 while the broker is connected.", link.session is not None)
        connections = CounterMetricFamily(
            f"{PREFIX}link_connections", "Connections that the broker has accepted."
        )
        connections.add_metric((), link.connections)
        yield connections
        yield _gauge(
            "link_waiting_messages", "Messages that have arrived and wait.", backlog.messages
        )
        yield _gauge("link_waiting_bytes", "The same in bytes.", backlog.size_bytes)
        dropped = CounterMetricFamily(
            f"{PREFIX}link_dropped_messages", "Messages of QoS 0 dropped as too many waited."
        )
        dropped.add_metric((), link.dropped_qos0)
        yield dropped

    def _of_cache(self) -> Iterator[Metric]:
        cache = self._cache
        yield _gauge("cache_bytes", "Memory of the twins in it, estimated.", cache.memory_bytes)
        yield _gauge("cache_limit_bytes", "What they may take.", cache.limit_bytes)
        twins = GaugeMetricFamily(
            f"{PREFIX}cache_twins", "Twins in memory: decoded, or as bytes.", labels=("form",)
        )
        for form, count in zip(("decoded", "bytes"), cache.twins, strict=True):
            twins.add_metric((form,), count)
        yield twins

    def _of_publisher(self) -> Iterator[Metric]:
        backlog = self._publisher.backlog
        twins = GaugeMetricFamily(
            f"{PREFIX}publish_twins",
            "Twins that wait for the broker, are rebuilt, or are not acknowledged yet.",
            labels=("state",),
        )
        twins.add_metric(("waiting",), backlog.twins)
        twins.add_metric(("rebuilding",), backlog.rebuilding)
        twins.add_metric(("in_flight",), backlog.in_flight)
        yield twins
        yield _gauge("publish_waiting_bytes", "States and deltas that wait.", backlog.size_bytes)
        yield _gauge(
            "publish_waiting_messages", "Replies, questions and events that wait.", backlog.messages
        )

    def _of_store(self) -> Iterator[Metric]:
        yield _gauge("twins", "Twins that exist, at most a minute ago.", self._twins)
        sizes = GaugeMetricFamily(
            f"{PREFIX}store_bytes", "Size of the store's files.", labels=("file",)
        )
        for name, suffix in (("database", ""), ("log", "-wal")):
            sizes.add_metric((name,), _size_bytes(Path(f"{self._store_path}{suffix}")))
        yield sizes

    async def _count_twins(self) -> None:
        """Bring the number of twins up to date, unless that takes too long."""
        now = asyncio.get_running_loop().time()
        if self._counting is None and now >= self._count_again_at:
            self._count_again_at = now + COUNT_INTERVAL_S
            self._counting = asyncio.create_task(self._count(), name="count")
        if self._counting is not None:
            await asyncio.wait({self._counting}, timeout=COUNT_TIMEOUT_S)

    async def _count(self) -> None:
        try:
            self._twins = await self._store.run(lambda store: store.count_twins())
        except StoreError:
            self._count_again_at = float("-inf")  # Of the last number that was read.
        finally:
            self._counting = None


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, documentation, value=value)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
