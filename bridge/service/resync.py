"""Asks devices for a full report: for what has not arrived, or may have been lost.

When to ask for a gap is decided by `bridge.service.gaps`. After the broker has lost the bridge's
session, or a backup was restored, every device is asked once, by `bridge.service.roll_call`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bridge import metrics
from bridge.config import ResyncConfig
from bridge.core.section import JsonObject
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.core.twin import Twin
from bridge.errors import StoreUnavailable
from bridge.link.base import Publication
from bridge.logs import RateLimited
from bridge.service.gaps import Gaps
from bridge.service.pace import Pace
from bridge.service.publisher import Publisher
from bridge.service.roll_call import RollCall
from bridge.service.store_thread import StoreThread
from bridge.wire import notices, outbound
from bridge.wire.inbound import Encoding
from bridge.wire.notices import ResyncReason

RETRY_S: Final = 1.0
"""How long to wait where the store cannot be used."""


class Resync:
    """Keeps what is to be asked, and asks it while there is a connection.

    Times are in s, on the event loop's clock.

    Args:
        config: How patient to be, and how fast.
        grammar: The topics.
        encoding: What to ask in.
        store: Where the twins are, and how far asking everyone has come.
        publisher: Sends the questions.
        counters: Counts them.
        log: For what devices can provoke.
        wake: Called when something is due earlier than before.
    """

    def __init__(
        self,
        config: ResyncConfig,
        grammar: TopicGrammar,
        encoding: Encoding,
        store: StoreThread,
        publisher: Publisher,
        counters: metrics.Counters,
        log: RateLimited,
        wake: Callable[[], None],
    ) -> None:
        self._grammar = grammar
        self._encoding: Encoding = encoding
        self._publisher = publisher
        self._counters = counters
        self._log = log
        self._wake = wake
        self._gaps = Gaps(config.gap_timeout_s, config.interval_s)
        self._roll_call = RollCall(store, config.gap_timeout_s, config.interval_s)
        self._pace = Pace(config.per_s)
        self._is_connected = False
        self._retry_at = float("-inf")
        self._asked = 0

    def resume(self, facts: Mapping[str, str], now: float) -> None:
        """Take up what the store tells of: what is left over, and a restore."""
        self._roll_call.resume(facts, now)

    def connected(self, now: float) -> None:
        """The connection stands: questions can be sent, once what waited at the broker is in."""
        self._is_connected = True
        self._gaps.wait_anew(now)
        self._wake()

    def disconnected(self) -> None:
        """The connection is gone: nobody is asked meanwhile."""
        self._is_connected = False

    def session_lost(self, now: float) -> None:
        """Ask every device: the broker may have lost what it had accepted for the bridge."""
        self._roll_call.begin("session_lost", now)
        self._wake()

    @property
    def open_gaps(self) -> int:
        """Twins of which something is missing, or was until lately."""
        return len(self._gaps)

    @property
    def watches_any(self) -> bool:
        """Something of some twin is missing, or was until lately."""
        return len(self._gaps) > 0

    def watches(self, key: TwinKey) -> bool:
        """Tell whether something of a twin is missing, or was until lately."""
        return key in self._gaps

    def heard(self, twin: Twin, now: float) -> None:
        """Take note of what a report has left open."""
        before = self._gaps.next_at()
        boot, missing = twin.open_gaps() or ("", [])
        self._gaps.note(twin.key, boot, tuple(missing), now)
        after = self._gaps.next_at()
        if after is not None and (before is None or after < before):
            self._wake()

    def forget(self, key: TwinKey) -> None:
        """Forget the gaps of a twin."""
        self._gaps.forget(key)

    def next_at(self, _now: float) -> float | None:
        """Return when the next question, or a note in the store, is due."""
        due = []
        if self._roll_call.must_be_kept:
            due.append(self._retry_at)
        if self._is_connected:
            begins_at, gap_at = self._roll_call.begins_at, self._gaps.next_at()
            if begins_at is not None:
                due.append(max(begins_at, self._pace.next_at(), self._retry_at))
            if gap_at is not None:
                due.append(max(gap_at, self._pace.next_at()))
        return min(due, default=None)

    async def act(self, now: float) -> None:
        """Ask whom it is time to ask, as far as the pace allows."""
        if self._is_connected:
            self._ask_for_gaps(now)
        if now < self._retry_at:
            return
        try:
            if self._roll_call.must_be_kept:
                await self._roll_call.keep()
            if self._is_connected:
                await self._ask_everyone(now)
        except StoreUnavailable as error:
            self._retry_at = now + RETRY_S
            self._log.warning(
                "the store cannot be used; asking every device waits",
                "roll call",
                reason=error.message,
            )

    def _ask_for_gaps(self, now: float) -> None:
        while self._pace.next_at() <= now and (gap := self._gaps.take_due(now)) is not None:
            self._log.info(
                "reports of a device are missing; it is asked for a full one",
                str(gap.key),
                boot=gap.boot,
                missing=gap.missing,
            )
            question = notices.resync(self._next_id(), "gap", gap.boot, gap.missing)
            self._ask(gap.key, question, "gap", now)

    async def _ask_everyone(self, now: float) -> None:
        while self._pace.next_at() <= now and (found := await self._roll_call.take(now)):
            key, reason = found
            self._gaps.note_asked(key, now)
            self._ask(key, notices.resync(self._next_id(), reason), reason, now)

    def _next_id(self) -> str:
        self._asked += 1
        return f"r{self._asked}"

    def _ask(self, key: TwinKey, question: JsonObject, reason: ResyncReason, now: float) -> None:
        self._pace.take(now)
        self._counters.add(metrics.RESYNCS, reason)
        self._publisher.ask(
            key,
            Publication(
                self._grammar.topic(key, "resync"),
                outbound.encode(question, self._encoding),
                content_type=outbound.CONTENT_TYPES[self._encoding],
            ),
        )
        self._publisher.pump()
