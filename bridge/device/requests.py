"""Requests for twins that are under way: the device's own, and other devices'."""

from __future__ import annotations

from dataclasses import dataclass

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
from bridge.device.replies import Reply, read_twin
from bridge.device.retry import TRY_LATER_CODES, Retry
from bridge.errors import OutboxFull

REQUESTS_MAX = 32
"""Requests for twins at a time: each for another device holds two subscriptions."""

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class _Request:
    """One request. `state_topic` is empty where only the bridge's answer counts."""

    key: TwinKey
    message: OutgoingMessage
    reply_topic: str
    state_topic: str
    retry: Retry


class TwinRequests:
    """The requests of one device. They are repeated until they are answered or given up."""

    def __init__(
        self, grammar: TopicGrammar, requester: str, boot: str, encoding: Encoding
    ) -> None:
        self._grammar = grammar
        self._requester = requester
        self._boot = boot
        self._encoding = encoding
        self._requests: dict[str, _Request] = {}
        self._made = 0

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
        requester = self._requester
        payload = encode({METADATA_KEY: {"id": request_id}}, self._encoding)
        self._requests[request_id] = _Request(
            key=key,
            message=OutgoingMessage(self._grammar.topic(key, "get", requester), payload),
            reply_topic=self._grammar.topic(key, "reply", requester),
            state_topic=self._grammar.topic(key, "state") if with_state else "",
            retry=Retry(now),
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
            request.retry.postpone(now, retry_after_s)
            return []
        twin = read_twin(document, reply.version) if reply.ok else None
        if request.state_topic and (reply.ok or reply.code == _NOT_FOUND):
            return [self._state(reply.request_id, twin)]
        self.forget(reply.request_id)
        if twin is not None:
            return [GetAnswered(reply.request_id, twin)]
        return [GetRefused(reply.request_id, reply.code, reply.error, reply.message)]

    def _state(self, request_id: str, twin: Twin | None) -> Event:
        key = self._requests.pop(request_id).key
        return StateReceived(request_id, key.device, key.name, twin)
