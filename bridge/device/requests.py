"""Requests for twins that are under way: the device's own, and other devices'."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar, TwinKey
from bridge.device.events import (
    Event,
    GetAnswered,
    GetRefused,
    OutgoingMessage,
    StateReceived,
    Twin,
)
from bridge.device.payload import METADATA_KEY, Encoding, JsonObject, encode
from bridge.device.replies import Reply, read_changes, read_twin
from bridge.device.retry import RETRY_MAX_S, TRY_LATER_CODES, Retry
from bridge.errors import OutboxFull

REQUESTS_MAX = 32
"""Requests for twins at a time: each for another device holds two subscriptions."""

_NOT_FOUND = 404


@dataclass(slots=True)
class _Request:
    """One request.

    Attributes:
        key: The twin.
        message: What asks for it.
        reply_topic: Where the answer comes.
        state_topic: Where it is retained; empty where only the bridge's answer counts.
        retry: When it is sent.
        base: The twin of which it asks for the changes; None where it asks for the whole.
    """

    key: TwinKey
    message: OutgoingMessage
    reply_topic: str
    state_topic: str
    retry: Retry
    base: Twin | None


class TwinRequests:
    """The requests of one device. They are repeated until they are answered or given up.

    The device's own twin is kept as it last came, and then only what has changed is asked for.

    Args:
        grammar: Of the topics.
        own_key: The device's own twin.
        boot: Of the device.
        encoding: Of the requests.
        limits: A twin that is larger than a bridge has is not kept.
    """

    def __init__(
        self, grammar: TopicGrammar, own_key: TwinKey, boot: str, encoding: Encoding, limits: Limits
    ) -> None:
        self._grammar = grammar
        self._own_key = own_key
        self._requester = own_key.device
        self._boot = boot
        self._encoding = encoding
        self._twin_bytes = limits.twin_bytes
        self._requests: dict[str, _Request] = {}
        self._made = 0
        self._kept: Twin | None = None

    def retries(self) -> list[Retry]:
        """Return when each of them is due."""
        return [request.retry for request in self._requests.values()]

    def topics(self) -> list[str]:
        """Return the topics that have to be subscribed to for other devices' twins."""
        return [
            topic
            for request in self._requests.values()
            if request.state_topic
            for topic in (request.state_topic, request.reply_topic)
        ]

    def expect(self, topic: str) -> bool:
        """Tell whether an answer to one of them may come on this topic."""
        return any(
            topic in (request.state_topic, request.reply_topic)
            for request in self._requests.values()
        )

    def add(self, key: TwinKey, now: float, *, with_state: bool) -> str:
        """Start a request, for the retained state too or for the bridge's answer alone.

        Returns:
            The request's id.

        Raises:
            OutboxFull: `REQUESTS_MAX` are under way.
        """
        if len(self._requests) >= REQUESTS_MAX:
            raise OutboxFull(
                f"{len(self._requests)} requests for twins wait for their answer, and "
                f"REQUESTS_MAX is {REQUESTS_MAX}",
                hint="ask for fewer at a time",
            )
        self._made += 1
        request_id = f"{self._boot}.g{self._made}"
        base = None if with_state else self._kept
        self._requests[request_id] = _Request(
            key=key,
            message=self._message(key, request_id, base),
            reply_topic=self._grammar.topic(key, "reply", self._requester),
            state_topic=self._grammar.topic(key, "state") if with_state else "",
            retry=Retry(now),
            base=base,
        )
        return request_id

    def forget(self, request_id: str) -> None:
        """Give up a request, if it is still under way."""
        self._requests.pop(request_id, None)

    def take_due(self, now: float, retry_after_s: float) -> list[OutgoingMessage]:
        """Return what is to be sent now, and count it as sent."""
        return [
            request.message
            for request in self._requests.values()
            if request.retry.take(now, retry_after_s)
        ]

    def state_received(self, topic: str, twin: Twin | None) -> list[Event]:
        """Take a retained state; ends the requests that it answers."""
        ended = [
            request_id
            for request_id, request in self._requests.items()
            if request.state_topic == topic
        ]
        return [self._state(request_id, twin) for request_id in ended]

    def reply_received(
        self, topic: str, reply: Reply, document: JsonObject, now: float, retry_after_s: float
    ) -> list[Event]:
        """Take a reply; it may be to none of these requests.

        Raises:
            UnreadableError: It says ok but has no twin.
        """
        request = self._requests.get(reply.request_id)
        if request is None or topic != request.reply_topic:
            return []
        if not reply.ok and reply.code in TRY_LATER_CODES:
            if reply.retry_after_s is None:
                request.retry.postpone(now, retry_after_s)
            else:
                request.retry.start_anew(now + min(reply.retry_after_s, RETRY_MAX_S))
            return []
        if not reply.ok:
            return [self._refused(request, reply)]
        if reply.since is None:
            twin = read_twin(document, reply.version)
        elif request.base is not None and request.base.version == reply.since:
            twin = read_changes(document, reply.version, request.base)
        else:
            self._ask_for_the_whole(request, reply.request_id, now)
            return []
        if request.state_topic:
            return [self._state(reply.request_id, twin)]
        self.forget(reply.request_id)
        self._keep(twin, whole=reply.since is None)
        return [GetAnswered(reply.request_id, copy.deepcopy(twin))]

    def _message(self, key: TwinKey, request_id: str, base: Twin | None) -> OutgoingMessage:
        request: JsonObject = {} if base is None else {"since": base.version}
        payload = encode({**request, METADATA_KEY: {"id": request_id}}, self._encoding)
        return OutgoingMessage(self._grammar.topic(key, "get", self._requester), payload)

    def _ask_for_the_whole(self, request: _Request, request_id: str, now: float) -> None:
        """Ask anew after an answer that does not fit; a second such answer is a late repeat."""
        if request.base is not None:
            request.base = None
            request.message = self._message(request.key, request_id, None)
            request.retry.start_anew(now)

    def _keep(self, twin: Twin, *, whole: bool) -> None:
        """Keep a twin, unless a newer one is; the whole one counts where versions began anew."""
        if self._kept is not None and twin.version < self._kept.version and not whole:
            return
        document: JsonObject = {
            "version": twin.version,
            "at": twin.at,
            "reported": twin.reported,
            "desired": twin.desired,
        }
        size_bytes = len(encode(document, "json"))
        self._kept = twin if size_bytes <= self._twin_bytes else None

    def _refused(self, request: _Request, reply: Reply) -> Event:
        if reply.code == _NOT_FOUND:
            if request.key == self._own_key:
                self._kept = None
            if request.state_topic:
                return self._state(reply.request_id, None)
        self.forget(reply.request_id)
        return GetRefused(reply.request_id, reply.code, reply.error, reply.message)

    def _state(self, request_id: str, twin: Twin | None) -> Event:
        key = self._requests.pop(request_id).key
        return StateReceived(request_id, key.device, key.name, twin)
