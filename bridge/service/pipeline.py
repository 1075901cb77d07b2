"""The pipeline: one batch after another, with no timer (design section 5).

Take what has arrived; decode; load what is not in memory; reconcile; commit in one transaction;
publish each changed twin once; acknowledge. While one batch commits, the next one gathers in the
link: under light load a batch is one message, under heavy load it grows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from bridge import metrics
from bridge.config import Config
from bridge.core.orders import Order
from bridge.core.reconcile import Outcome
from bridge.core.refusal import Refusal
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.errors import StoreCorrupt, StoreUnavailable
from bridge.link.base import Link, Message
from bridge.log_traces import place_of
from bridge.logs import RateLimited, get_logger
from bridge.service.cache import TwinCache
from bridge.service.effects import Effects
from bridge.service.enrolment import Enrolment
from bridge.service.publisher import Publisher
from bridge.service.reconciler import Reconciler
from bridge.service.requests import MAKES_A_ROW, twins_of
from bridge.service.sealing import Sealing
from bridge.service.store_retry import BatchGivenUp, retry_while_unavailable
from bridge.service.store_thread import Result, StoreThread
from bridge.service.throttle import Throttle, make_throttle
from bridge.service.transaction import Refused, StaleTwins, Transactions
from bridge.store.audit import AuditRow

SUBMITTED_AT_ONCE: Final = 256
"""Orders from elsewhere than the broker that may be at work or wait, each in a task of its own:
more than administration sends at the same time."""

_Task: TypeAlias = tuple[TwinKey, Order, AuditRow | None]

_log = get_logger("bridge.pipeline")


class Pipeline:
    """Carries messages from the link through the core into the store, and back to the link.

    Attributes:
        transactions: What each batch and each order ends in.
        cache: The twins in memory, for who has a turn.
        reconciler: Changes them.
        batch_began_at: When the batch at work began, in µs, or None between batches.
    """

    def __init__(
        self,
        config: Config,
        link: Link,
        store: StoreThread,
        cache: TwinCache,
        reconciler: Reconciler,
        publisher: Publisher,
        counters: metrics.Counters,
        clock: Callable[[], int],
        refusals: RateLimited,
        on_status: Callable[[Message], None],
        sealing: Sealing | None = None,
        enrolment: Enrolment | None = None,
    ) -> None:
        self._limits = config.limits
        self._retry_timeout_s = config.store.retry_timeout_s
        self._link = link
        self._health = store.health
        self.cache = self._cache = cache
        self.reconciler = self._reconciler = reconciler
        self._publisher = publisher
        self._counters = counters
        self._clock = clock
        self._refusals = refusals
        self._on_status = on_status
        self._enrolment = enrolment
        self._grammar = TopicGrammar(config.prefix)
        self._sealing = sealing
        self.transactions = self._transactions = Transactions(
            config.limits, store, cache, publisher, counters, clock, refusals
        )
        self._throttle = make_throttle(config.limits)
        self._at_work = asyncio.Lock()
        self._batch: asyncio.Task[None] | None = None
        self._submitted: set[asyncio.Task[Any]] = set()
        self.batch_began_at: int | None = None

    async def run(self) -> None:
        """Process batches until cancelled; the batch at work then goes on, see `finish`.

        Raises:
            LinkError: The link gave up.
        """
        limits = self._limits
        while True:
            messages = await self._link.receive(limits.batch_messages, limits.batch_bytes)
            self._counters.stages.took(metrics.WAIT, self._link.backlog.waited_s)
            self._batch = asyncio.create_task(self.process(messages), name="batch")
            await asyncio.shield(self._batch)

    async def finish(self) -> None:
        """Wait for the batch at work, after `run` was cancelled, and for orders.

        Cancelled, it stops them.
        """
        at_work: set[asyncio.Task[Any]] = {*self._submitted}
        if self._batch is not None:
            at_work.add(self._batch)
        if at_work:
            try:
                await asyncio.wait(at_work)
            finally:
                for task in at_work:
                    task.cancel()

    async def process(self, messages: Sequence[Message]) -> None:
        """Process one batch, whatever it takes, and acknowledge it.

        A batch that cannot be processed for another reason than the store's being away is halved
        until the culprit stands alone; that one goes to the quarantine. If the store stays away,
        the connection is dropped, and the broker delivers the batch again.
        """
        stages = self._counters.stages
        began = stages.clock()
        updates, enrolments = self._sort(messages)
        self._counters.add(metrics.MESSAGES, count=len(updates) + len(enrolments))
        self._counters.batch_messages.observe(len(messages))
        try:
            if updates:
                async with self._turn():
                    if self._throttle is not None:
                        updates = await self._within_limit(self._throttle, updates)
                    if updates:
                        await self._process_or_halve(updates, self._process_once)
            for message in enrolments:
                async with self._turn():
                    await self._process_or_halve([message], self._enrol)
        except BatchGivenUp as error:
            self._link.drop(str(error))
            return
        sending = stages.clock()
        self._publisher.pump()
        self._link.acknowledge(messages)
        stages.since(metrics.SEND, sending)
        stages.done(metrics.BATCH, began, len(messages))

    async def _within_limit(self, throttle: Throttle, messages: Sequence[Message]) -> list[Message]:
        """Refuse what is over a writer's limit, and return the rest.

        Once for each batch: tried again, it would count twice.
        """
        clock = self._clock()
        within, too_fast = throttle.sort(messages, clock)
        if too_fast:
            effects = Effects()
            for refused in too_fast:
                effects.counts[metrics.UPDATES_REFUSED, refused.refusal.error] += 1
                try:
                    self._reconciler.refuse_too_fast(refused, effects)
                except Exception as error:  # noqa: BLE001 # decoding may be what cannot be done
                    self._refusals.warning(
                        "a refused message cannot be answered",
                        type(error).__name__,
                        exc_info=error,
                    )
            await self._retry_while_unavailable(lambda: self._transactions.keep(effects))
        return within

    def _sort(self, messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
        """Hand over what came on the bridge's own status topic; return updates and enrolments."""
        updates, enrolments = [], []
        status, enrolling = self._grammar.status, self._grammar.enrolling
        enrols = self._enrolment is not None
        for message in messages:
            topic = message.topic
            if topic == status:
                self._on_status(message)
            elif enrols and topic.endswith("/enrol") and enrolling(topic) is not None:
                enrolments.append(message)
            else:
                updates.append(message)
        return updates, enrolments

    async def _enrol(self, messages: Sequence[Message]) -> None:
        if self._enrolment is not None:
            for message in messages:
                await self._enrolment.answer(message)

    async def _process_or_halve(
        self, messages: Sequence[Message], process: Callable[[Sequence[Message]], Awaitable[None]]
    ) -> None:
        try:
            await self._retry_while_unavailable(lambda: process(messages))
        except (BatchGivenUp, StoreCorrupt):
            # Nothing is wrong with the messages: they wait, unacknowledged, for a store that works.
            raise
        except Exception as error:  # noqa: BLE001 # whatever it is, the others must go on
            failure = error
        else:
            return
        if len(messages) == 1:
            await self._put_away(messages[0], failure)
            return
        middle = len(messages) // 2
        await self._process_or_halve(messages[:middle], process)
        await self._process_or_halve(messages[middle:], process)

    async def _retry_while_unavailable(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something; while the store cannot be written, nothing is acknowledged, and try again.

        Raises:
            BatchGivenUp: The store stayed away for too long.
        """
        await retry_while_unavailable(
            work, self._health, self._counters, self._retry_timeout_s, _log
        )

    async def _process_once(self, messages: Sequence[Message]) -> None:
        effects = Effects()
        stages = self._counters.stages
        began = stages.clock()
        requests = self._reconciler.decode(messages, effects)
        stages.since(metrics.DECODE, began)
        keys, making = twins_of(requests)
        if self._sealing is not None:
            await self._sealing.prepare(requests)
        await self._transactions.run(
            keys,
            making,
            effects,
            lambda refused: self._reconciler.apply(requests, effects, refused),
        )
        if self._sealing is not None:
            again = await self._sealing.conclude(effects.proven)
            self._publisher.offer(again, rebuild=True)

    async def _put_away(self, message: Message, error: Exception) -> None:
        """Quarantine a message that can never be processed, and answer it if that is possible."""
        self._refusals.warning(
            "a message cannot be processed, and is kept in the quarantine",
            type(error).__name__,
            topic=message.topic,
            exc_info=error,
        )
        # Without its text, which may quote what only the message's own readers may see.
        refusal = Refusal(500, "cannot_process", f"a fault in the bridge: {place_of(error)}")
        effects = Effects()
        self._reconciler.quarantine(message, refusal, effects)
        try:
            self._reconciler.answer_failure(message, refusal, effects)
        except Exception as again:  # noqa: BLE001 # decoding it may be what cannot be done
            self._refusals.warning("nor can it be answered", type(again).__name__, exc_info=again)
        await self._retry_while_unavailable(lambda: self._transactions.keep(effects))

    async def submit(self, key: TwinKey, order: Order, act: AuditRow | None = None) -> Outcome:
        """Do what an order says that did not come from the broker; see `submit_all`.

        Raises:
            StoreError: Nothing took effect.
        """
        return (await self.submit_all([(key, order)], acts=[act]))[0]

    async def submit_all(
        self,
        orders: Sequence[tuple[TwinKey, Order]],
        *,
        wanted: Callable[[TwinKey], bool] = lambda _key: True,
        judged: bool = False,
        acts: Sequence[AuditRow | None] = (),
    ) -> list[Outcome]:
        """Carry out orders in one transaction of their own, between two batches.

        Once begun, it goes on even where the caller is cancelled: what is committed is published.

        Args:
            orders: What to do, in this order.
            wanted: Asked when it is their turn; an order that is not wanted any more is passed
                over.
            judged: Hold each update against the permissions of its writer, as a message.
            acts: For each order what the audit trail is to tell of it, or None; not given: nothing.

        Returns:
            The outcome of each order that was wanted. It is on the disk.

        Raises:
            StoreError: Nothing took effect.
        """
        if len(self._submitted) >= SUBMITTED_AT_ONCE:
            raise StoreUnavailable(
                f"{SUBMITTED_AT_ONCE} orders wait for their turn already",
                hint="try again when the store is less busy",
            )
        told = acts or [None] * len(orders)
        tasks = [(*order, act) for order, act in zip(orders, told, strict=True)]
        work = asyncio.create_task(self._carry_out(tasks, wanted, judged=judged), name="orders")
        self._submitted.add(work)
        work.add_done_callback(self._submitted.discard)
        return await asyncio.shield(work)

    async def _carry_out(
        self,
        orders: Sequence[_Task],
        wanted: Callable[[TwinKey], bool],
        *,
        judged: bool,
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        stages = self._counters.stages
        async with self._turn():
            began = stages.clock()
            due = [task for task in orders if wanted(task[0])]
            while due:
                effects = Effects()
                try:
                    outcomes = await self._carry_out_once(due, effects, judged=judged)
                except StaleTwins:
                    continue
                break
            stages.done("orders", began, len(due))
        self._publisher.pump()
        return outcomes

    async def _carry_out_once(
        self, orders: Sequence[_Task], effects: Effects, *, judged: bool
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []

        def change(refused: Refused) -> None:
            for key, order, act in orders:
                outcome = self._reconciler.apply_order(
                    key, order, effects, refused.get(key), judged=judged
                )
                outcomes.append(outcome)
                if act is not None:
                    effects.acted(act, order, outcome)

        keys = {key for key, _, _ in orders}
        making = {key for key, order, _ in orders if isinstance(order, MAKES_A_ROW)}
        await self._transactions.run(keys, making, effects, change)
        return outcomes

    async def in_turn(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something between two batches; it goes on where its caller is cancelled.

        Raises:
            StoreError: What `work` raises.
        """
        task = asyncio.create_task(self.between_batches(work), name="orders")
        self._submitted.add(task)
        task.add_done_callback(self._submitted.discard)
        return await asyncio.shield(task)

    async def between_batches(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do something while no batch and no order is at work, and send what it offers."""
        async with self._turn():
            result = await work()
        self._publisher.pump()
        return result

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Have the twins to oneself. Whoever waits longest is next."""
        async with self._at_work:
            self.batch_began_at = self._clock()
            try:
                yield
            finally:
                self.batch_began_at = None
                self._cache.shrink()

    async def store_acknowledged(self, *, everything: bool = False) -> None:
        """Write down what the broker has acknowledged; at the end, everything."""
        await self._transactions.mark_published(everything=everything)
