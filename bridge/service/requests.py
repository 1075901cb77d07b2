"""From messages to requests: topics parsed, payloads decoded, refusals known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from bridge.core.limits import Limits
from bridge.core.orders import Deletion, Order
from bridge.core.refusal import Refusal
from bridge.core.topics import InboundTopic, TopicGrammar, TwinKey
from bridge.core.update import NO_METADATA, Delivery, Update
from bridge.link.base import Message
from bridge.wire.inbound import (
    Body,
    Encoding,
    GetRequest,
    decode_body,
    decode_delete,
    decode_get,
    decode_presence,
)

PARSED_TOPICS: Final = 100_000
"""Topics whose parsed form is kept: at most 100 MiB, as only topics of the grammar are, which
bounds their length; and enough for the devices of a large site."""


Asked: TypeAlias = Order | GetRequest
"""What a message asks for, once it is decoded."""


class Request(NamedTuple):
    """One message, decoded.

    Attributes:
        message: As it arrived.
        topic: Its parsed topic.
        order: What it asks for; None where it is refused already.
        refusal: Why it is refused, or None. An `Update` that must be refused although its `seq`
            counts carries its refusal itself.
        request_id: `$.id`, if there was one.
        encoding: What to answer in.
    """

    message: Message
    topic: InboundTopic
    order: Asked | None
    refusal: Refusal | None
    request_id: str | None
    encoding: Encoding

    def twins(self) -> tuple[TwinKey, ...]:
        """Return the twins that are needed for it.

        The device's unnamed twin holds when the device was last heard, on whichever of its twins.
        """
        key, verb, _ = self.topic
        if key.name and verb in ("report", "get"):
            return (key, TwinKey(key.device))
        return (key,)


class Decoder:
    """Decodes messages by their topics."""

    def __init__(self, grammar: TopicGrammar, limits: Limits) -> None:
        self._grammar = grammar
        self._limits = limits
        self._topics: dict[str, InboundTopic] = {}

    def decode(self, messages: Iterable[Message]) -> Iterator[Request | tuple[Message, Refusal]]:
        """Yield a request for each message, or the message and why its topic is not ours."""
        for message in messages:
            topic = self._topics.get(message.topic) or self._parse(message.topic)
            if isinstance(topic, Refusal):
                yield message, topic
            elif topic.verb == "presence" and not message.payload:
                continue  # Somebody, perhaps this bridge, has cleared the retained presence.
            else:
                yield self._request(message, topic)

    def _parse(self, text: str) -> InboundTopic | Refusal:
        topic = self._grammar.parse(text)
        if isinstance(topic, InboundTopic):
            if len(self._topics) >= PARSED_TOPICS:
                self._topics.clear()
            self._topics[text] = topic
        return topic

    def _request(self, message: Message, topic: InboundTopic) -> Request:
        order: Asked | None
        if topic.verb in ("report", "desire"):
            body = decode_body(message.payload, self._limits)
            order = _update(message, topic, body)
            if order is not None:
                body = body._replace(refusal=None)
        elif topic.verb == "get":
            order, body = decode_get(message.payload, self._limits)
        elif topic.verb == "delete":
            order = Deletion(topic.sender, message.payload, _delivery(message))
            body = decode_delete(message.payload, self._limits)
        else:
            order, body = None, Body({}, NO_METADATA, "json")
            presence = decode_presence(message.payload, self._limits)
            if isinstance(presence, Refusal):
                body = body._replace(refusal=presence)
            else:
                order = presence
        return Request(
            message,
            topic,
            None if body.refusal else order,
            body.refusal,
            body.metadata.request_id,
            body.encoding,
        )


def _update(message: Message, topic: InboundTopic, body: Body) -> Update | None:
    """Return the update; None where it is refused and nothing of it need be remembered."""
    if body.refusal is not None and body.metadata.seq is None:
        return None
    return Update(
        topic.key,
        "reported" if topic.verb == "report" else "desired",
        topic.sender,
        body.state,
        body.metadata,
        message.payload,
        _delivery(message),
        body.size_bytes,
        body.refusal,
    )


def _delivery(message: Message) -> Delivery:
    return Delivery(message.packet_id if message.qos else 0, message.dup, message.retain)
