"""One batch through the core: requests in, effects out. Nothing here waits for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bridge import metrics
from bridge.core.limits import Limits
from bridge.core.orders import Deletion, Order
from bridge.core.reconcile import Outcome, no_such_twin
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import InboundTopic, TopicGrammar, TwinKey
from bridge.core.update import Update
from bridge.link.base import Message, Publication
from bridge.service.cache import TwinCache
from bridge.service.cached_twin import CachedTwin
from bridge.service.changes import Changes
from bridge.service.effects import Effects
from bridge.service.guard import Guard
from bridge.service.packer import Packer
from bridge.service.requests import Decoder, PlainReport, Request
from bridge.service.sealing import Sealing
from bridge.service.throttle import TooFast
from bridge.service.unsealing import Unsealed
from bridge.store.audit import AuditRow
from bridge.wire import outbound
from bridge.wire.inbound import GetRequest


class Reconciler:
    """Applies requests to twins that are in memory.

    Args:
        grammar: The topics.
        limits: Bounds on what is sent.
        cache: The twins.
        changes: Changes them.
        clock: The bridge's clock, in µs since the epoch.
        guard: Says who may do what; None where everyone may do everything.
        sealing: Opens what is sealed, and knows what was received of it; None where nothing is.
        packer: Compresses a device's own replies, and knows the dictionaries; None: neither.
    """

    def __init__(
        self,
        grammar: TopicGrammar,
        limits: Limits,
        cache: TwinCache,
        changes: Changes,
        clock: Callable[[], int],
        guard: Guard | None = None,
        sealing: Sealing | None = None,
        packer: Packer | None = None,
    ) -> None:
        self._packer = packer
        self._grammar = grammar
        self._cache = cache
        self._changes = changes
        self._clock = clock
        self._limits = limits
        self._guard = guard
        self._sealing = sealing
        self._decoder = Decoder(
            grammar,
            limits,
            None if sealing is None else sealing.unsealer,
            None if packer is None else packer.dictionaries,
        )

    def decode(self, messages: Iterable[Message], effects: Effects) -> list[Request | PlainReport]:
        """Decode messages; those that are on no topic of ours go to the quarantine at once."""
        requests: list[Request | PlainReport] = []
        decode, guard = self._decoder.decode, self._guard
        for message in messages:
            decoded = decode(message)
            if isinstance(decoded, PlainReport):
                requests.append(decoded)
            elif isinstance(decoded, Request):
                if decoded.sealed is not None and decoded.sealed.is_proof:
                    effects.prove(decoded.sealed.place, self._clock())
                requests.append(decoded if guard is None else guard.admit(decoded))
            elif decoded is not None:
                effects.counts[metrics.UPDATES_REFUSED, decoded.error] += 1
                self.quarantine(message, decoded, effects)
        return requests

    def apply(
        self,
        requests: Iterable[Request | PlainReport],
        effects: Effects,
        refused: dict[TwinKey, Refusal],
    ) -> None:
        """Apply requests in order.

        Args:
            requests: Their twins are in the cache, unless they are in `refused`.
            effects: Where everything that follows is gathered.
            refused: New twins that may not be made now, and why.
        """
        use, report_plainly, guard = self._cache.use, self._changes.report_plainly, self._guard
        for request in requests:
            key = request.topic.key
            if isinstance(request, PlainReport):
                if (guard is None or guard.lets_report(key)) and report_plainly(
                    use(key), request.message, request.state, effects
                ):
                    continue
                request = self._decoder.decode_update(request.message, request.topic)
                if guard is not None:
                    request = guard.admit(request)
            refusal = request.refusal or refused.get(key)
            if refusal is not None:
                self._refuse(request, refusal, None, effects)
            elif request.sealed is not None and self._sealing is not None:
                self._apply_sealed(request, request.sealed, self._sealing, use(key), effects)
            else:
                self._apply(request, use(key), effects)
        if self._sealing is not None:
            effects.windows = self._sealing.memory.added

    def answer_failure(
        self,
        message: Message,
        refusal: Refusal,
        effects: Effects,
        later: outbound.Later | None = None,
    ) -> None:
        """Answer a message that made the program fail, if it asks for that."""
        decoded = self._decoder.decode(message)
        if isinstance(decoded, Request) and self._wants_reply(decoded, effects):
            answer = outbound.refusal_answer(refusal, decoded.request_id, later=later)
            self._reply(decoded, answer, effects)

    def quarantine(self, message: Message, refusal: Refusal, effects: Effects) -> None:
        """Keep a message of which nothing more is known than its topic."""
        topic = self._grammar.parse(message.topic)
        known = topic if isinstance(topic, InboundTopic) else None
        self._keep(message, refusal, effects, known)

    def _keep(
        self, message: Message, refusal: Refusal, effects: Effects, topic: InboundTopic | None
    ) -> None:
        """Keep a refused message; nothing of the payload where a device with a key is concerned."""
        secret = (
            self._sealing is not None
            and topic is not None
            and (topic.sender in self._sealing.keyring or topic.key.device in self._sealing.keyring)
        )
        effects.quarantine(message, refusal, self._clock(), topic, secret=secret)

    def refuse_too_fast(self, refused: TooFast, effects: Effects) -> None:
        """Answer or keep a message over a limit, decoded only where it is notable.

        One with MQTT 5's properties is answered in any case: what they say needs no decoding.
        """
        message, refusal, later, notable = refused
        if notable:
            replies = len(effects.replies)
            self.answer_failure(message, refusal, effects, later)
            if len(effects.replies) == replies:
                self.quarantine(message, refusal, effects)
        elif message.response_topic is not None or message.correlation_data is not None:
            topic = self._grammar.parse(message.topic)
            if isinstance(topic, InboundTopic):
                request = Request(message, topic, None, refusal, None, "json")
                self._reply(request, outbound.refusal_answer(refusal, None, later=later), effects)

    def apply_order(
        self,
        key: TwinKey,
        order: Order,
        effects: Effects,
        refusal: Refusal | None,
        *,
        judged: bool = False,
    ) -> Outcome:
        """Apply an order that came from elsewhere than the broker; nobody is answered.

        Args:
            key: The twin, which is in the cache.
            order: What to do; see `Changes.by_order`.
            effects: Where everything that follows is gathered.
            refusal: Why the twin may not be made now, or None.
            judged: Hold an update or a deletion against the permissions of its writer.
        """
        twin = self._cache.use(key).twin
        if refusal is not None:
            return Outcome(twin.version, refusal=refusal)
        if judged and self._guard is not None and isinstance(order, Update):
            order = self._guard.judge(order, twin)
        if judged and self._guard is not None and isinstance(order, Deletion):
            # Since it was asked for, the permissions may have changed.
            forbidden = self._guard.judge_deletion(order, key)
            if forbidden is not None:
                return Outcome(twin.version, refusal=forbidden)
        return self._changes.by_order(key, order, effects)

    def _apply_sealed(
        self,
        request: Request,
        sealed: Unsealed,
        sealing: Sealing,
        cached: CachedTwin,
        effects: Effects,
    ) -> None:
        """Apply what was sealed, unless its number has been received, or its boot was closed."""
        order, memory, place = request.order, sealing.memory, sealed.place
        if isinstance(order, GetRequest):
            # It changes nothing, so that a repeat is answered anew.
            self._apply(request, cached, effects)
            return
        if isinstance(order, Update):
            if memory.knows(place):
                self._apply(request, cached, effects)
                return
            refusal = memory.refusal_of(place)
            if refusal is None:
                order = order._replace(boot_is_known=False)
                if self._apply(request._replace(order=order), cached, effects):
                    memory.begin(place)
                return
        else:
            received = memory.receive(place, sealed.seq)
            if received is True:
                self._apply(request, cached, effects)
                return
            if received is False:
                self._answer_repeat(request, cached, effects)
                return
            refusal = received
        self._refuse(request, refusal, Outcome(cached.twin.version), effects)

    def _answer_repeat(self, request: Request, cached: CachedTwin, effects: Effects) -> None:
        effects.counts[metrics.UPDATES_DUPLICATE, ""] += 1
        if self._wants_reply(request, effects):
            outcome = Outcome(cached.twin.version, duplicate=True)
            self._reply(
                request, outbound.answer(outcome, request.request_id, self._clock()), effects
            )

    def _apply(self, request: Request, cached: CachedTwin, effects: Effects) -> bool:
        """Apply a request; returns whether the twin remembers it."""
        order = request.order
        if isinstance(order, GetRequest):
            self._answer_get(request, order, cached, effects)
            return False
        if order is None:
            return False
        guard = self._guard
        if guard is not None and isinstance(order, Update):
            order = guard.judge(order, cached.twin)
        outcome = self._changes.by_message(cached, order, effects)
        if isinstance(order, Deletion) and outcome.changed:
            act = AuditRow(
                self._clock(), "mqtt", request.topic.sender, "twin.delete", str(request.topic.key)
            )
            effects.acted(act, order, outcome)
        if outcome.refusal is not None:
            refusal = outcome.refusal
            if guard is not None:
                refusal = guard.concealed(refusal, request)
            self._refuse(request, refusal, outcome, effects)
        elif self._wants_reply(request, effects):
            answer = outbound.answer(outcome, request.request_id, self._clock())
            self._reply(request, answer, effects)
        return outcome.store

    def _answer_get(
        self, request: Request, order: GetRequest, cached: CachedTwin, effects: Effects
    ) -> None:
        twin = cached.twin
        if not twin.exists:
            self._refuse(request, no_such_twin(twin), Outcome(twin.version), effects)
        else:
            last_seen = twin.last_seen
            if twin.key.name:
                # What its other twins report counts for the device.
                device = self._cache.use(TwinKey(twin.key.device)).twin
                last_seen = max(last_seen, device.last_seen)
            access = None
            if self._guard is not None:
                access = self._guard.access(request)
            answer = outbound.twin_answer(twin, order, request.request_id, last_seen, access)
            self._reply_within_limit(request, answer, twin.version, effects)

    def _reply_within_limit(
        self, request: Request, answer: JsonObject, version: int, effects: Effects
    ) -> None:
        """Reply, unless it is more than a payload may be: a broker could end the connection."""
        payload = outbound.encode(answer, request.encoding)
        if len(payload) <= self._limits.payload_bytes:
            self._send(request, payload, effects)
            return
        refusal = Refusal(
            413,
            "answer_too_large",
            f"the answer would be {len(payload)} bytes, the limit is {self._limits.payload_bytes}: "
            "ask without meta, or raise limits.payload_bytes",
        )
        self._refuse(request, refusal, Outcome(version), effects)

    def _refuse(
        self, request: Request, refusal: Refusal, outcome: Outcome | None, effects: Effects
    ) -> None:
        effects.counts[metrics.UPDATES_REFUSED, refusal.error] += 1
        if self._wants_reply(request, effects):
            version = None if outcome is None else outcome.version
            answer = outbound.refusal_answer(refusal, request.request_id, version)
            self._reply(request, answer, effects)
        elif outcome is None or not outcome.duplicate:
            self._keep(request.message, refusal, effects, request.topic)

    def _wants_reply(self, request: Request, effects: Effects) -> bool:
        response_topic = request.message.response_topic
        if response_topic is not None:
            if response_topic != self._reply_topic(request):
                # Followed, it would let a client aim the bridge at any topic.
                effects.counts[metrics.RESPONSE_TOPICS_IGNORED, ""] += 1
            return True
        return (
            request.request_id is not None
            or request.message.correlation_data is not None
            or request.topic.verb == "get"
        )

    def _reply(self, request: Request, answer: JsonObject, effects: Effects) -> None:
        self._send(request, outbound.encode(answer, request.encoding), effects)

    def _send(self, request: Request, payload: bytes, effects: Effects) -> None:
        reply = Publication(
            self._reply_topic(request),
            payload,
            content_type=outbound.CONTENT_TYPES[request.encoding],
            correlation_data=request.message.correlation_data,
        )
        key = request.topic.key
        if self._packer is not None and request.topic.sender == key.device:
            reply = self._packer.pack(key, reply)
        effects.replies.append(reply)

    def _reply_topic(self, request: Request) -> str:
        return self._grammar.topic(request.topic.key, "reply", request.topic.sender)
