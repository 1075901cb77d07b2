"""What a twin's retained topics should hold, and the publishes that this takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bridge.core.topics import TopicGrammar, TwinKey
from bridge.link.base import Publication
from bridge.wire import outbound

PublishedEncoding: TypeAlias = Literal["json", "msgpack", "both"]

_JSON: Final = outbound.CONTENT_TYPES["json"]
_MSGPACK: Final = outbound.CONTENT_TYPES["msgpack"]


@dataclass(slots=True)
class TwinPublication:
    """What a twin's retained topics should hold.

    Attributes:
        key: The twin.
        version: Its version.
        state: JSON of `state`; empty clears it.
        delta: JSON of `delta`; None clears it.
        with_delta: `delta` must be published, not only `state`.
        clear_presence: The retained presence must be cleared.
        at: The bridge's time of the version, in µs.
    """

    key: TwinKey
    version: int
    state: bytes
    delta: bytes | None
    with_delta: bool
    clear_presence: bool
    at: int

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps in memory."""
        return len(self.state) + len(self.delta or b"")

    def absorb(self, older: TwinPublication) -> None:
        """Take over what an older publication of the twin would have done beside."""
        self.with_delta = self.with_delta or older.with_delta
        self.clear_presence = self.clear_presence or older.clear_presence


class Transfer:
    """A publication of a twin on its way, part by part.

    Attributes:
        publication: The publication.
        unsent: Parts that are still to be sent, the next one last.
        unanswered: How many parts are not sent, or not answered.
        is_lost: The connection was gone before some part was answered.
        is_refused: The broker has refused some part.
    """

    __slots__ = ("is_lost", "is_refused", "publication", "unanswered", "unsent")

    def __init__(self, publication: TwinPublication, parts: list[Publication]) -> None:
        self.publication = publication
        self.unsent = parts
        self.unanswered = len(parts)
        self.is_lost = False
        self.is_refused = False


class Parts:
    """Makes the publishes of a twin.

    Args:
        grammar: The topics.
        encoding: What to publish in.
    """

    def __init__(self, grammar: TopicGrammar, encoding: PublishedEncoding) -> None:
        self._grammar = grammar
        self._encoding = encoding

    def of(self, publication: TwinPublication) -> list[Publication]:
        """Return the publishes, the first one last."""
        key = publication.key
        parts = []
        if publication.clear_presence and not key.name:
            parts.append(Publication(self._grammar.topic(key, "presence"), b"", True))
        if publication.with_delta:
            parts += self._retained(key, "delta", publication.delta or b"")
        parts += self._retained(key, "state", publication.state)
        return parts

    def _retained(self, key: TwinKey, verb: str, document: bytes) -> list[Publication]:
        topic = self._grammar.topic(key, verb)
        as_json = Publication(topic, document, True, _JSON if document else None)
        if self._encoding == "json":
            return [as_json]
        if self._encoding == "both":
            topic += "/msgpack"
        packed = outbound.as_msgpack(document) if document else b""
        as_msgpack = Publication(topic, packed, True, _MSGPACK if document else None)
        return [as_msgpack, as_json] if self._encoding == "both" else [as_msgpack]
