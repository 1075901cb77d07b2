"""One batch through the core: requests in, effects out. Nothing here waits for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bridge import metrics
from bridge.core.limits import Limits
from bridge.core.reconcile import Outcome, delete, no_such_twin, reconcile, reconcile_presence
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.core.update import Presence, Update
from bridge.link.base import Message, Publication
from bridge.service.cache import CachedTwin, TwinCache
from bridge.service.effects import Effects
from bridge.service.requests import Decoder, Deletion, Request
from bridge.wire import outbound
from bridge.wire.inbound import GetRequest


class Reconciler:
    """Applies requests to twins that are in memory.

    Args:
        grammar: The topics.
        limits: Bounds on updates and twins.
        cache: The twins.
        clock: The bridge's clock, in µs since the epoch.
    """

    def __init__(
        self,
        grammar: TopicGrammar,
        limits: Limits,
        cache: TwinCache,
        clock: Callable[[], int],
    ) -> None:
        self._grammar = grammar
        self._limits = limits
        self._cache = cache
        self._clock = clock
        self._decoder = Decoder(grammar, limits)

    def decode(self, messages: Iterable[Message], effects: Effects) -> list[Request]:
        """Decode messages; those that are on no topic of ours go to the quarantine at once."""
        requests = []
        for decoded in self._decoder.decode(messages):
            if isinstance(decoded, Request):
                requests.append(decoded)
            else:
                message, refusal = decoded
                effects.counts[metrics.UPDATES_REFUSED, refusal.error] += 1
                effects.quarantine(message, refusal, self._clock())
        return requests

    def apply(
        self,
        requests: Iterable[Request],
        effects: Effects,
        refused: dict[TwinKey, Refusal],
    ) -> None:
        """Apply requests in order.

        Args:
            requests: Their twins are in the cache, unless they are in `refused`.
            effects: Where everything that follows is gathered.
            refused: New twins that may not be made now, and why.
        """
        for request in requests:
            key = request.topic.key
            refusal = request.refusal or refused.get(key)
            if refusal is not None:
                self._refuse(request, refusal, None, effects)
                continue
            self._apply(request, self._cache.use(key), effects)

    def answer_failure(self, message: Message, refusal: Refusal, effects: Effects) -> None:
        """Answer a message that made the program fail, if it asks for that."""
        for decoded in self._decoder.decode([message]):
            if isinstance(decoded, Request) and self._wants_reply(decoded, effects):
                answer = outbound.refusal_answer(refusal, decoded.request_id)
                self._reply(decoded, answer, effects)

    def _apply(self, request: Request, cached: CachedTwin, effects: Effects) -> None:
        order = request.order
        twin = cached.twin
        if isinstance(order, Update):
            outcome = reconcile(twin, order, self._clock(), self._limits)
        elif isinstance(order, GetRequest):
            self._answer_get(request, order, cached, effects)
            return
        elif isinstance(order, Deletion):
            writer = request.topic.sender
            outcome = delete(twin, writer, self._clock(), order.payload, order.delivery)
        elif isinstance(order, Presence):
            outcome = reconcile_presence(twin, order, self._clock())
        else:
            return
        if outcome.store:
            effects.changed(cached, version=outcome.changed, clear=outcome.clear)
        if outcome.change is not None:
            effects.remember(twin.key, outcome.change)
        if outcome.refusal is not None:
            self._refuse(request, outcome.refusal, outcome, effects)
            return
        _count(outcome, effects)
        if self._wants_reply(request, effects):
            answer = outbound.answer(outcome, request.request_id, self._clock())
            self._reply(request, answer, effects)

    def _answer_get(
        self, request: Request, order: GetRequest, cached: CachedTwin, effects: Effects
    ) -> None:
        twin = cached.twin
        if not twin.exists:
            self._refuse(request, no_such_twin(twin), Outcome(twin.version), effects)
        else:
            answer = outbound.twin_answer(twin, order, request.request_id, twin.last_seen)
            self._reply(request, answer, effects)

    def _refuse(
        self, request: Request, refusal: Refusal, outcome: Outcome | None, effects: Effects
    ) -> None:
        effects.counts[metrics.UPDATES_REFUSED, refusal.error] += 1
        if self._wants_reply(request, effects):
            version = None if outcome is None else outcome.version
            answer = outbound.refusal_answer(refusal, request.request_id, version)
            self._reply(request, answer, effects)
        elif outcome is None or not outcome.duplicate:
            effects.quarantine(request.message, refusal, self._clock())

    def _wants_reply(self, request: Request, effects: Effects) -> bool:
        message = request.message
        if message.response_topic is not None and message.response_topic != self._reply_topic(
            request
        ):
            # Followed, it would let a client aim the bridge at any topic.
            effects.counts[metrics.RESPONSE_TOPICS_IGNORED, ""] += 1
        return (
            request.request_id is not None
            or message.response_topic is not None
            or message.correlation_data is not None
            or request.topic.verb == "get"
        )

    def _reply(self, request: Request, answer: JsonObject, effects: Effects) -> None:
        effects.replies.append(
            Publication(
                self._reply_topic(request),
                outbound.encode(answer, request.encoding),
                content_type=outbound.CONTENT_TYPES[request.encoding],
                correlation_data=request.message.correlation_data,
            )
        )

    def _reply_topic(self, request: Request) -> str:
        return self._grammar.topic(request.topic.key, "reply", request.topic.sender)


def _count(outcome: Outcome, effects: Effects) -> None:
    if outcome.duplicate:
        effects.counts[metrics.UPDATES_DUPLICATE, ""] += 1
    elif outcome.superseded:
        effects.counts[metrics.UPDATES_SUPERSEDED, ""] += 1
    elif outcome.changed:
        effects.counts[metrics.UPDATES_CHANGED, ""] += 1
