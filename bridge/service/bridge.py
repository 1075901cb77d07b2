"""The bridge as a whole: starts its parts in order, runs them, and stops them in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from bridge import __version__, metrics
from bridge.broker import EmbeddedBroker
from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.reconcile import Outcome
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import LinkError
from bridge.link.base import Link, Session
from bridge.link.broker_link import BrokerLink
from bridge.logs import RateLimited, get_logger
from bridge.service.administrator import Administrator
from bridge.service.announcer import LAST_SINCE, Announcer
from bridge.service.cache import TwinCache
from bridge.service.changed_keys import publish_changed_keys
from bridge.service.changes import Changes
from bridge.service.clock import now_us
from bridge.service.dictionaries import load_dictionaries
from bridge.service.enrolment import Enrolment, make_enrolment
from bridge.service.events import Events
from bridge.service.exposition import Exposition
from bridge.service.guard import make_guard
from bridge.service.identity import CLIENT_ID, SESSION, keep_fact, read_metadata
from bridge.service.link_settings import make_link_settings, report_refused_filters
from bridge.service.models import make_models
from bridge.service.packer import Packer
from bridge.service.pipeline import Pipeline
from bridge.service.publisher import Publisher
from bridge.service.reconciler import Reconciler
from bridge.service.sealing import make_sealing
from bridge.service.serving import serve
from bridge.service.store_thread import Result, StoreThread, open_store
from bridge.service.tasks import cancel, log_failure
from bridge.service.tracing import tracing
from bridge.service.unpublished import resume_publishing
from bridge.service.watch import Watch
from bridge.store.base import Store
from bridge.store.restore import VERSION_RAISE
from bridge.wire.inbound import Encoding

MARK_INTERVAL_S: Final = 1.0
"""How often it is written down what the broker has acknowledged."""

GOODBYE_S: Final = 5.0
"""How long the end may wait for what is still on its way."""

_log = get_logger("bridge")


class Bridge:
    """A running bridge; use it as `async with Bridge(config) as bridge: await bridge.wait()`.

    Args:
        config: All settings.
        clock: The bridge's clock, in µs since the epoch.

    Attributes:
        host: Host of the broker.
        port: Port of the broker.
        counters: What has happened since the start.
        exposition: The same and more, for Prometheus; from the start on.
        administrator: What administration may ask for; from the start on.
        http_address: Where HTTP is answered; None where it is not.

    Raises:
        SyncbridgeError: From `__aenter__`: the store is held or unusable, or the embedded broker
            cannot be started.
    """

    def __init__(self, config: Config, *, clock: Callable[[], int] = now_us) -> None:
        self.config = config
        self.host, self.port = "", 0
        self.counters = metrics.Counters()
        self.http_address: tuple[str, int] | None = None
        self._clock = clock
        self._grammar = TopicGrammar(config.prefix)
        self._stack = AsyncExitStack()
        self._connected = asyncio.Event()
        self._announcing: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[None]
        self.exposition: Exposition
        self.administrator: Administrator
        self._metadata: Mapping[str, str] = {}

    async def __aenter__(self) -> Self:
        self._failure = asyncio.get_running_loop().create_future()
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()
        _log.info("stopped")

    async def wait(self) -> None:
        """Run until cancelled.

        Raises:
            SyncbridgeError: The bridge cannot go on, for example because its login was refused.
        """
        await asyncio.shield(self._failure)

    async def wait_until_connected(self) -> None:
        """Wait until the broker has granted the subscriptions.

        Raises:
            SyncbridgeError: The bridge cannot go on.
        """
        connected = asyncio.create_task(self._connected.wait())
        failed = asyncio.create_task(self.wait())
        done, pending = await asyncio.wait({connected, failed}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if failed in done:
            failed.result()

    @property
    def session(self) -> Session | None:
        """The present connection to the broker, or None."""
        return self._link.session

    async def run_store(self, function: Callable[[Store], Result]) -> Result:
        """Run a function of the store between the pipeline's batches, in the store's thread.

        Raises:
            StoreError: What the store raises.
        """
        return await self._store.run(function)

    async def apply(self, key: TwinKey, order: Order) -> Outcome:
        """Change a twin, as a message would, in between the messages.

        Returns:
            What came of it; it is on the disk, and is being published.

        Raises:
            StoreError: Nothing took effect.
        """
        return await self._pipeline.submit(key, order)

    async def _start(self) -> None:
        config = self.config
        self._guard = make_guard(config)
        self._stack.enter_context(tracing(config.tracing, self.counters.stages))
        self._store = StoreThread(lambda: open_store(config.store))
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        self._metadata = await read_metadata(self._store)
        self._sealing = await make_sealing(config, self._store, self._clock)
        self._packer = Packer(config.compression, self._sealing)
        self._link = self._make_link(await self._start_broker())
        self._publisher = Publisher(
            self._link,
            self._grammar,
            config.publish.encoding,
            self.counters,
            RateLimited(_log, time.monotonic),
            None if self._sealing is None else self._sealing.downlink,
            self._packer.pack,
        )
        self._dictionaries = await load_dictionaries(
            self._packer, self._grammar, self._store, self._publisher, config.publish.rebuild_per_s
        )
        self._announcer = self._make_announcer()
        # Of what is no retained document there is one encoding.
        encoding: Encoding = "msgpack" if config.publish.encoding == "msgpack" else "json"
        self._watch = Watch(
            config,
            encoding,
            self._store,
            self._publisher,
            self.counters,
            RateLimited(_log, time.monotonic),
            self._metadata,
        )
        enrolment = await make_enrolment(
            config, self._sealing, self._store, self._publisher, self.counters, self._clock
        )
        self._pipeline = self._make_pipeline(encoding, enrolment)
        self._fleet = await self._watch.open_fleet(self._pipeline, self._guard, self._clock)
        await self._serve()
        await self._begin()
        _log.info(
            "started",
            version=__version__,
            store=str(config.store.path),
            broker=f"{self.host}:{self.port}",
            prefix=config.prefix,
        )

    def _make_link(self, username: str | None) -> Link:
        return BrokerLink(
            make_link_settings(
                self.config.broker,
                self.host,
                self.port,
                username=username,
                client_id=self._client_id,
                payload_bytes=self.config.limits.payload_bytes,
                grammar=self._grammar,
                enrols=self._sealing is not None,
                will=lambda: self._announcer.will(),
            )
        )

    def _make_announcer(self) -> Announcer:
        last_since = self._metadata.get(LAST_SINCE)
        return Announcer(
            self._link,
            self._grammar,
            self._store,
            self._publisher,
            self.counters,
            self._clock,
            self._metadata["instance"],
            None if last_since is None else int(last_since),
            self.config.publish.rebuild_per_s,
            lambda: self._pipeline.batch_began_at,
        )

    def _make_pipeline(self, encoding: Encoding, enrolment: Enrolment | None) -> Pipeline:
        config, grammar, clock = self.config, self._grammar, self._clock
        limits = config.limits.to_core()
        raised_by = int(self._metadata.get(VERSION_RAISE, "0"))
        models, limit_bytes = make_models(config), config.store.cache_bytes
        self._cache = cache = TwinCache(limit_bytes, raised_by, config.policies, models)
        events = Events(grammar, encoding, limits.payload_bytes) if config.publish.events else None
        changes = Changes(limits, cache, self._clock, self._watch.attention, events)
        return Pipeline(
            config,
            self._link,
            self._store,
            cache,
            Reconciler(
                grammar, limits, cache, changes, clock, self._guard, self._sealing, self._packer
            ),
            self._publisher,
            self.counters,
            self._clock,
            RateLimited(_log, time.monotonic),
            self._announcer.received,
            self._sealing,
            enrolment,
        )

    @property
    def _client_id(self) -> str:
        return self.config.broker.client_id or self._metadata[CLIENT_ID]

    async def _start_broker(self) -> str | None:
        """Start the embedded broker where no other is configured; returns the user to log in as."""
        address = self.config.broker.address
        if address is not None:
            self.host, self.port = address
            return self.config.broker.username
        embedded = EmbeddedBroker(self.config.embedded, self.config.store.path.parent)
        self._stack.push_async_callback(embedded.stop)
        await embedded.start()
        self.host, self.port = embedded.host, embedded.port
        return self.config.broker.username or embedded.username

    async def _serve(self) -> None:
        administrator = self.administrator = Administrator(
            self.config,
            self._store,
            self._pipeline,
            self._publisher,
            self._clock,
            self._guard,
            self._fleet,
            self._sealing,
            self._dictionaries.changed,
        )
        await administrator.permissions.note_start()
        self.exposition = Exposition(
            self.config.store.path,
            self.counters,
            self._link,
            self._store,
            self._cache,
            self._publisher,
            self._watch,
        )
        serving = serve(self.config, administrator, self.exposition, self._guard, self._link)
        self.http_address = await self._stack.enter_async_context(serving)

    async def _begin(self) -> None:
        """Connect, and start the tasks."""
        await self._link.start(self)
        self._stack.push_async_callback(self._say_goodbye)
        self._spawn(resume_publishing(self._store, self._publisher), "left behind")
        again = publish_changed_keys(self._sealing, self._store, self._pipeline, self._publisher)
        self._spawn(again, "changed keys")
        self._spawn(self._pipeline.run(), "pipeline")
        self._spawn(self._dictionaries.run(), "dictionaries")
        self._spawn(self._store_acknowledged(), "acknowledged")
        self._spawn(self._watch.run(self._pipeline), "watch")

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run something until the bridge stops; if it fails, the bridge does."""
        task = asyncio.create_task(work, name=f"bridge {name}")

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled() or self._failure.done():
                return
            error = task.exception()
            if error is not None:
                self._failure.set_exception(error)
                # Waited for or not: it is in the log in any case.
                self._failure.exception()

        task.add_done_callback(ended)
        self._stack.push_async_callback(cancel, task)

    async def _store_acknowledged(self) -> None:
        while True:
            await self._publisher.acknowledgements.wait()
            await asyncio.sleep(MARK_INTERVAL_S)
            await self._pipeline.store_acknowledged()

    def connected(self, session: Session) -> None:
        """Called by the link: the connection stands."""
        self._note_session(session)
        report_refused_filters(session)
        self._end_announcing()
        announcing = self._announcer.announce(session, self._announcer.greet())
        self._announcing = asyncio.create_task(announcing, name="announcer")
        self._announcing.add_done_callback(log_failure)
        self._watch.connected()
        self._dictionaries.announce()
        self._publisher.pump()
        self._connected.set()

    def disconnected(self, error: LinkError) -> None:
        """Called by the link: the connection ended, or an attempt failed."""
        self._connected.clear()
        self._watch.disconnected()
        self._end_announcing()
        if not error.recoverable and not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()

    def _end_announcing(self) -> None:
        if self._announcing is not None:
            self._announcing.cancel()
            self._announcing = None

    def _note_session(self, session: Session) -> None:
        """Report a session that was expected and is gone; remember that there is one now."""
        if self.config.broker.address is None:
            return  # The embedded broker keeps none, and has said so at its start.
        place = f"{self.config.broker.url} {self._client_id}"
        if not session.session_present and self._metadata.get(SESSION) == place:
            self.counters.add(metrics.SESSIONS_LOST)
            self._watch.session_lost()
            _log.warning(
                "the broker has lost the bridge's session: messages that it had accepted for the "
                "bridge may be lost",
                broker=f"{self.host}:{self.port}",
                hint="see docs/operations.md, persistence; devices that number their messages "
                "send again what was not answered",
            )
        if self._metadata.get(SESSION) != place:
            self._metadata = {**self._metadata, SESSION: place}
            self._spawn(keep_fact(self._store, SESSION, place), "session")

    async def _say_goodbye(self) -> None:
        """Finish what is on its way, say that the bridge is offline, and disconnect."""
        self._end_announcing()
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._pipeline.finish()
                if self._link.session is not None:
                    await self._publisher.wait_until_idle()
                    await self._announcer.take_leave()
        except (TimeoutError, LinkError):
            _log.warning("not everything could be published; it will be at the next start")
            # So that the broker publishes the last will: the status must not stay online.
            self._link.drop("it could not take its leave in time")
        # First: a store that is stuck must not give the link the time to come back.
        await self._link.stop()
        await self._pipeline.store_acknowledged(everything=True)
