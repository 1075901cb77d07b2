"""What can be asked of a twin, wherever it comes from, and the one function that does it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from bridge.core.limits import Limits
from bridge.core.reconcile import Outcome, delete, reconcile, reconcile_presence
from bridge.core.twin import Twin
from bridge.core.update import FRESH, Delivery, Presence, SectionName, Update


class Deletion(NamedTuple):
    """Remove the twin: who asks for it, the payload, and how it arrived."""

    writer: str
    payload: bytes = b""
    delivery: Delivery = FRESH


class ForgetWriter(NamedTuple):
    """Forget what is remembered of a writer's numbered messages, in one section or in both."""

    writer: str
    section: SectionName | None = None


Order: TypeAlias = Update | Deletion | Presence | ForgetWriter
"""Something that may change a twin."""


def carry_out(twin: Twin, order: Order, clock: int, limits: Limits) -> Outcome:
    """Do what an order says.

    Args:
        twin: The twin, changed in place.
        order: What to do. Where a writer is to be forgotten that is not remembered, the outcome
            is that nothing is to be stored.
        clock: The bridge's clock, in µs since the epoch.
        limits: Bounds on the twin.
    """
    if isinstance(order, Update):
        return reconcile(twin, order, clock, limits)
    if isinstance(order, Deletion):
        return delete(twin, order.writer, clock, order.payload, order.delivery)
    if isinstance(order, Presence):
        return reconcile_presence(twin, order, clock)
    return Outcome(twin.version, store=twin.forget_writer(order.writer, order.section))
