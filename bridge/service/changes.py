"""Carries out orders on twins in memory, and gathers what follows. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge import metrics
from bridge.core.bounds import json_size
from bridge.core.limits import Limits
from bridge.core.orders import Order, carry_out
from bridge.core.plain import report_plainly
from bridge.core.reconcile import Outcome
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import Presence, Update
from bridge.link.base import Message
from bridge.service.attention import Attention, last_seen_is_due
from bridge.service.cache import TwinCache
from bridge.service.cached_twin import CachedTwin
from bridge.service.effects import Effects
from bridge.service.events import Events

_CHANGED: Final = (metrics.UPDATES_CHANGED, "")
_DUPLICATE: Final = (metrics.UPDATES_DUPLICATE, "")
_SUPERSEDED: Final = (metrics.UPDATES_SUPERSEDED, "")


class Changes:
    """Changes twins that are in memory.

    Args:
        limits: Bounds on updates and twins.
        cache: The twins.
        clock: The bridge's clock, in µs since the epoch.
        attention: Told of everything; None where no bridge runs.
        events: Makes events; None where nobody wants them.
    """

    def __init__(
        self,
        limits: Limits,
        cache: TwinCache,
        clock: Callable[[], int],
        attention: Attention | None = None,
        events: Events | None = None,
    ) -> None:
        self._limits = limits
        self._cache = cache
        self._clock = clock
        self._attention = attention
        self._events = events

    def by_order(self, key: TwinKey, order: Order, effects: Effects) -> Outcome:
        """Carry out an order that came from elsewhere than the broker.

        Args:
            key: The twin, which is in the cache.
            order: What to do. The patch of an update is within the wire's limits.
            effects: Where everything that follows is gathered.
        """
        if isinstance(order, Update) and not order.size_bytes:
            # By it the core bounds the twin's growth.
            order = order._replace(size_bytes=json_size(order.patch))
        return self._carry_out(self._cache.use(key), order, effects)

    def by_message(self, cached: CachedTwin, order: Order, effects: Effects) -> Outcome:
        """Carry out what a message asks for: a device that sends one is there."""
        if isinstance(order, Update) and order.section == "reported":
            return self._report(cached, order, effects)
        if isinstance(order, Presence) and self._attention is not None:
            self._attention.presence(order, cached.twin)
        return self._carry_out(cached, order, effects)

    def report_plainly(
        self, cached: CachedTwin, message: Message, state: JsonObject, effects: Effects
    ) -> bool:
        """Carry out a report that says nothing but values, where nobody looks at it more closely.

        Args:
            cached: The device's unnamed twin.
            message: Delivered for the first time, and not retained.
            state: What it says.
            effects: Where everything that follows is gathered.

        Returns:
            False where it is a case for `by_message`; nothing has happened then.
        """
        if self._events is not None or (
            self._attention is not None and not self._attention.is_idle
        ):
            return False
        twin = cached.twin
        packet_id = message.packet_id if message.qos else 0
        change = report_plainly(
            twin, state, message.payload, packet_id, self._clock(), self._limits
        )
        if change is None:
            return False
        effects.changed(cached, version=change != "unchanged", clear=False)
        if change != "unchanged":
            effects.remember(cached, change)
            effects.counts[_CHANGED] += 1
        return True

    def _report(self, cached: CachedTwin, order: Update, effects: Effects) -> Outcome:
        """Carry out a report, and what it says of the device beside."""
        key = cached.twin.key
        device = self._cache.use(TwinKey(key.device)) if key.name else cached
        attention = self._attention
        if attention is None:
            return self._carry_out(cached, order, effects)
        presence = attention.before(order, device.twin)
        if presence is not None:
            self._carry_out(device, presence, effects)
        outcome = self._carry_out(cached, order, effects)
        if device is not cached:
            self._see(device, cached, effects)
        presence = attention.after(order, outcome, cached.twin, device.twin)
        if presence is not None:
            self._carry_out(device, presence, effects)
        return outcome

    def _see(self, device: CachedTwin, reported: CachedTwin, effects: Effects) -> None:
        """Note at a device's own twin that a named one was reported."""
        before, after = device.twin.last_seen, reported.twin.last_seen
        if after > before:
            device.twin.last_seen = after
            device.let_go()  # What it was loaded from is older now.
            if last_seen_is_due(before, after):
                effects.changed(device, version=False, clear=False)

    def _carry_out(self, cached: CachedTwin, order: Order, effects: Effects) -> Outcome:
        twin = cached.twin
        online = twin.online
        outcome = carry_out(twin, order, self._clock(), self._limits)
        if outcome.store:
            effects.changed(cached, version=outcome.changed, clear=outcome.clear)
        if outcome.change is not None:
            effects.remember(cached, outcome.change)
        if outcome.conflicts and isinstance(order, Update):
            effects.remember_conflicts(
                twin.key, order.section, outcome.conflicts, version=outcome.version, at=twin.now
            )
        if outcome.refusal is None:
            _count(outcome, effects)
        if self._attention is not None and not isinstance(order, Update):
            self._attention.order(order, outcome, twin)
        if self._events is not None:
            event = self._events.of(order, outcome, twin, online)
            if event is not None:
                effects.events.append(event)
        return outcome


def _count(outcome: Outcome, effects: Effects) -> None:
    if outcome.duplicate:
        effects.counts[_DUPLICATE] += 1
    elif outcome.superseded:
        effects.counts[_SUPERSEDED] += 1
    elif outcome.changed:
        effects.counts[_CHANGED] += 1
