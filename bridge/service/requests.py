"""From messages to requests: topics parsed, payloads decoded, refusals known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from bridge.core.limits import Limits
from bridge.core.orders import Deletion, Order
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import InboundTopic, TopicGrammar, TwinKey
from bridge.core.update import NO_METADATA, Delivery, Metadata, Presence, SectionName, Update
from bridge.link.base import Message
from bridge.service.unsealing import NOT_SEALED, Unsealed, Unsealer
from bridge.wire import json_codec
from bridge.wire.dictionaries import Dictionaries
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


_SECTIONS: Final[dict[str, SectionName]] = {"report": "reported", "desire": "desired"}

MAKES_A_ROW: Final = (Update, Presence)
"""Orders that make a row in the store; presence does too, before there is a twin."""

_HEARS_OF_THE_DEVICE: Final = ("report", "get")
"""The device's unnamed twin holds when the device was last heard, on whichever of its twins."""

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
        sealed: What it was, where it came sealed and was opened.
    """

    message: Message
    topic: InboundTopic
    order: Asked | None
    refusal: Refusal | None
    request_id: str | None
    encoding: Encoding
    sealed: Unsealed | None = None


class PlainReport(NamedTuple):
    """A device's own report that says nothing but values, and asks for no reply.

    Attributes:
        message: As it arrived, for the first time.
        topic: Its parsed topic, of an unnamed twin.
        state: Plain values by name.
    """

    message: Message
    topic: InboundTopic
    state: JsonObject


class Decoder:
    """Decodes messages by their topics.

    Args:
        grammar: The topics.
        limits: Bounds on what is sent.
        unsealer: Opens what is sealed; None where no device has a key.
        dictionaries: Of zstd, that are known.
    """

    def __init__(
        self,
        grammar: TopicGrammar,
        limits: Limits,
        unsealer: Unsealer | None = None,
        dictionaries: Dictionaries | None = None,
    ) -> None:
        self._dictionaries = dictionaries
        self._grammar = grammar
        self._limits = limits
        self._unsealer = unsealer
        self._topics: dict[str, InboundTopic] = {}

    def decode(self, message: Message) -> PlainReport | Request | Refusal | None:
        """Return what a message asks for; why its topic is not ours; or None for nothing."""
        topic = self._topics.get(message.topic) or self._parse(message.topic)
        if isinstance(topic, Refusal):
            return topic
        verb = topic.verb
        if self._unsealer is not None and (message.payload or verb != "presence"):
            sealed = self._unsealer.open(message, topic)
            if sealed is not None:
                return self._decode_sealed(message, topic, sealed)
        if verb == "report":
            return self._plain_report(message, topic) or self.decode_update(message, topic)
        if verb == "desire":
            return self.decode_update(message, topic)
        if verb == "presence" and not message.payload:
            return None  # Somebody, perhaps this bridge, has cleared the retained presence.
        return self._other(message, topic)

    def _parse(self, text: str) -> InboundTopic | Refusal:
        topic = self._grammar.parse(text)
        if isinstance(topic, InboundTopic):
            if len(self._topics) >= PARSED_TOPICS:
                self._topics.clear()
            self._topics[text] = topic
        return topic

    def _plain_report(self, message: Message, topic: InboundTopic) -> PlainReport | None:
        _, payload, _, retain, _, _, response_topic, correlation_data, repeated = message
        if (
            retain
            or repeated
            or response_topic is not None
            or correlation_data is not None
            or topic.key.name
            or payload[:1] != b"{"
            or len(payload) > self._limits.payload_bytes
        ):
            return None
        state = json_codec.parse_plain(payload, self._limits)
        return None if state is None else PlainReport(message, topic, state)

    def _decode_sealed(
        self, message: Message, topic: InboundTopic, sealed: Unsealed | Refusal
    ) -> Request:
        """Decode what was sealed, or should have been."""
        if isinstance(sealed, Refusal):
            request_id = None
            if sealed.error == NOT_SEALED:
                request_id = decode_body(message.payload, self._limits).metadata.request_id
            return Request(message, topic, None, sealed, request_id, "json")
        if topic.verb in _SECTIONS:
            return self.decode_update(message, topic, sealed)
        opened = message._replace(payload=sealed.payload)
        return self._other(opened, topic)._replace(message=message, sealed=sealed)

    def decode_update(
        self, message: Message, topic: InboundTopic, sealed: Unsealed | None = None
    ) -> Request:
        """Decode an update. One that is refused is none, unless its `seq` counts all the same."""
        payload = message.payload if sealed is None else sealed.payload
        body = decode_body(payload, self._limits, self._dictionaries)
        state, metadata, encoding, refusal, size_bytes, plain = body
        if sealed is not None:
            # The seal vouches for boot and seq, and each frame has its own.
            metadata = Metadata(
                metadata.request_id,
                sealed.boot,
                sealed.seq,
                metadata.seen,
                metadata.time,
                metadata.if_version,
                metadata.full,
            )
        if refusal is not None and metadata.seq is None:
            return Request(message, topic, None, refusal, metadata.request_id, encoding)
        order = Update(
            topic.key,
            _SECTIONS[topic.verb],
            topic.sender,
            state,
            metadata,
            # Compared with what came before is what was said, however it was compressed.
            plain or message.payload,
            _delivery(message),
            size_bytes,
            refusal,
            sealed is not None,
        )
        return Request(message, topic, order, None, metadata.request_id, encoding, sealed)

    def _other(self, message: Message, topic: InboundTopic) -> Request:
        order: Asked | None
        if topic.verb == "get":
            order, body = decode_get(message.payload, self._limits, self._dictionaries)
        elif topic.verb == "delete":
            order = Deletion(topic.sender, message.payload, _delivery(message))
            body = decode_delete(message.payload, self._limits, self._dictionaries)
        else:
            order, body = None, Body({}, NO_METADATA, "json")
            presence = decode_presence(message.payload, self._limits, self._dictionaries)
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


def twins_of(requests: Iterable[Request | PlainReport]) -> tuple[set[TwinKey], set[TwinKey]]:
    """Return the twins that are needed for requests, and those of them that these may make."""
    needed: set[TwinKey] = set()
    made: set[TwinKey] = set()
    for request in requests:
        key, verb, _ = request.topic
        if isinstance(request, PlainReport):
            needed.add(key)
            made.add(key)
            continue
        if request.refusal is not None:
            continue  # Its twin is not looked at: whoever may publish can invent names.
        needed.add(key)
        if key.name and verb in _HEARS_OF_THE_DEVICE:
            needed.add(TwinKey(key.device))
        if isinstance(request.order, MAKES_A_ROW):
            made.add(key)
    return needed, made


def _delivery(message: Message) -> Delivery:
    return Delivery(message.packet_id if message.qos else 0, message.dup, message.retain)
