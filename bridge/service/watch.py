"""The watch: what the bridge does at a time, and not for a message.

Gaps and lost sessions make it ask devices (`bridge.service.resync`), silence makes devices go
offline (`bridge.service.silence_watch`), fleet changes write to them stage by stage
(`bridge.service.fleet_changes`). One task drives all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from bridge import metrics
from bridge.config import Config
from bridge.core.topics import TopicGrammar
from bridge.logs import RateLimited
from bridge.service.attention import Attention
from bridge.service.fleet_changes import FleetChanges
from bridge.service.fleet_writer import FleetWriter
from bridge.service.guard import Guard
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.resync import Resync
from bridge.service.silence import Silence
from bridge.service.silence_watch import SilenceWatch
from bridge.service.store_thread import StoreThread
from bridge.service.timers import Timed, Timers
from bridge.wire.inbound import Encoding


class Watch:
    """Watches devices while the bridge runs.

    Args:
        config: All settings.
        encoding: What to ask devices in.
        store: The store.
        publisher: Sends questions.
        counters: What has happened.
        log: For what devices can provoke.
        facts: The store's, as the last process left them.

    Attributes:
        attention: To be told of everything that is heard.
    """

    def __init__(
        self,
        config: Config,
        encoding: Encoding,
        store: StoreThread,
        publisher: Publisher,
        counters: metrics.Counters,
        log: RateLimited,
        facts: Mapping[str, str],
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._config = config
        self._store = store
        self._publisher = publisher
        self._counters = counters
        self._log = log
        self._timers = Timers(self._clock)
        wake = self._timers.wake
        self._resync = Resync(
            config.resync,
            TopicGrammar(config.prefix),
            encoding,
            store,
            publisher,
            counters,
            log,
            wake,
        )
        self._resync.resume(facts, self._clock())
        offline_after_s = config.presence.offline_after_s
        self._silence = Silence(offline_after_s) if offline_after_s else None
        self._fleet: FleetChanges | None = None
        self.attention = Attention(self._resync, self._silence, self._clock, wake)

    @property
    def open_gaps(self) -> int:
        """Twins of which reports are missing, or were until lately."""
        return self._resync.open_gaps

    async def open_fleet(
        self, pipeline: Pipeline, guard: Guard | None, clock: Callable[[], int]
    ) -> FleetChanges:
        """Take up the fleet changes that were at work when the last process ended.

        Args:
            pipeline: Writes, and tells what is committed.
            guard: Knows the permissions; None where everyone may do everything.
            clock: The bridge's clock, in µs since the epoch.

        Raises:
            StoreError: They cannot be read.
        """
        fleet = self._fleet = FleetChanges(
            self._store,
            FleetWriter(pipeline, self._store, self._log),
            self._config.limits.to_core(),
            guard,
            clock,
            self._counters,
            self._log,
            self._timers.wake,
        )
        pipeline.transactions.listeners.append(fleet.committed)
        await fleet.open()
        return fleet

    async def run(self, pipeline: Pipeline) -> None:
        """Do what is due, until cancelled.

        Args:
            pipeline: Makes devices go offline.
        """
        parts: list[Timed] = [self._resync]
        if self._fleet is not None:
            parts.append(self._fleet)
        if self._silence is not None:
            parts.append(
                SilenceWatch(
                    self._silence,
                    pipeline,
                    self._publisher,
                    self._store,
                    self._counters,
                    self._log,
                    self._clock,
                )
            )
        try:
            await self._timers.run(parts)
        finally:
            if self._fleet is not None:
                self._fleet.close()

    def connected(self) -> None:
        """The connection stands: devices can be heard and asked."""
        now = self._clock()
        self._resync.connected(now)
        if self._fleet is not None:
            self._fleet.connected()
        if self._silence is not None:
            self._silence.listen(now)

    def disconnected(self) -> None:
        """The connection is gone: nobody can be heard, or asked."""
        self._resync.disconnected()
        if self._fleet is not None:
            self._fleet.disconnected()
        if self._silence is not None:
            self._silence.stop_listening()

    def session_lost(self) -> None:
        """Messages that the broker had accepted may be lost."""
        self._resync.session_lost(self._clock())
