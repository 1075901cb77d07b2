"""Events: one message for each version, where they are switched on (design section 3)."""

from __future__ import annotations

from typing import Final

from bridge.core.conflict import Conflict
from bridge.core.orders import Deletion, Order
from bridge.core.reconcile import Outcome
from bridge.core.section import JsonObject
from bridge.core.topics import TopicGrammar
from bridge.core.twin import Twin
from bridge.core.update import Update
from bridge.link.base import Publication
from bridge.wire import outbound
from bridge.wire.inbound import Encoding
from bridge.wire.notices import Event

PRESENCE: Final = "presence"
"""What an event names as its section where nothing but the presence changed."""


class Events:
    """Makes the events.

    Args:
        grammar: The topics.
        encoding: What to write them in.
        limit_bytes: Of one; a broker could end the connection for a larger one.
    """

    def __init__(self, grammar: TopicGrammar, encoding: Encoding, limit_bytes: int) -> None:
        self._grammar = grammar
        self._encoding: Encoding = encoding
        self._limit_bytes = limit_bytes

    def of(
        self, order: Order, outcome: Outcome, twin: Twin, online_before: bool | None
    ) -> Publication | None:
        """Return the event of an order that was carried out, or None if there is nothing to tell.

        Args:
            order: The order.
            outcome: What came of it.
            twin: The twin, changed already.
            online_before: Its presence before.
        """
        if not (outcome.changed or outcome.conflicts):
            return None
        change = outcome.change
        section = order.section if isinstance(order, Update) else PRESENCE
        event = Event(
            outcome.version,
            twin.at,
            PRESENCE if outcome.changed and change is None else section,
            order.writer if isinstance(order, Update | Deletion) else twin.key.device,
            {},
            {},
            twin.online if twin.online is not online_before else None,
            [_conflict(section, conflict) for conflict in outcome.conflicts],
        )
        if change is not None:
            event = event._replace(
                section=change.section, patch=change.forward, previous=change.backward
            )
        return Publication(
            self._grammar.topic(twin.key, "event"),
            self._encoded(event),
            content_type=outbound.CONTENT_TYPES[self._encoding],
        )

    def _encoded(self, event: Event) -> bytes:
        """Return an event as bytes; one that is too large without its details."""
        encoded = outbound.encode(event.document(), self._encoding)
        if len(encoded) <= self._limit_bytes:
            return encoded
        short = event._replace(patch={}, previous={}, conflicts=())
        return outbound.encode({**short.document(), "truncated": True}, self._encoding)


def _conflict(section: str, conflict: Conflict) -> JsonObject:
    return {
        "section": section,
        "path": [*conflict.path],
        "policy": conflict.policy,
        "kept": conflict.kept,
        "kept_by": conflict.kept_by,
        "kept_stamp": conflict.kept_stamp,
        "lost": conflict.lost,
        "lost_by": conflict.lost_by,
        "lost_stamp": conflict.lost_stamp,
    }
