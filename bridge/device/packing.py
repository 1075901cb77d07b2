"""Compressed payloads on a device: sent and received, and the dictionaries for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgpack
import orjson
import zstandard

from bridge.core.compression import Compression
from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar
from bridge.device.kept import SealedReport
from bridge.device.outbox import InFlight
from bridge.device.payload import UnreadableError
from bridge.wire import wrappers
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries, Dictionary, NoDictionary
from bridge.wire.malformed import Malformed

DICTIONARIES_ON_DEVICE: Final = 2
"""The current one, and the one before it, with which something may still be under way."""

UNOPENED_MAX: Final = 4
"""Messages that wait for their dictionary: the newest on each topic of a device."""


class Packing:
    """Wrappers on, and wrappers off.

    A dictionary is fetched when it is needed: where the device sends with one, the one that the
    bridge names as the current; else the one that something was made with that has arrived.

    Args:
        grammar: The topics.
        how: How what is sent is compressed.
        limits: What a payload may expand to.
        is_sealing: The device seals what it sends.

    Raises:
        ValueError: The device would compress what it seals. The length of a sealed message would
            tell of what is in it; and a report is sealed once, so that its bytes must not change.
    """

    def __init__(
        self, grammar: TopicGrammar, how: Compression, limits: Limits, *, is_sealing: bool = False
    ) -> None:
        if is_sealing and how != "none":
            raise ValueError("compression: a device that seals sends nothing compressed")
        self._grammar = grammar
        self._how = how
        self._limit_bytes = limits.payload_bytes
        self._known: list[Dictionary] = []
        self._dictionaries = Dictionaries()
        self._current: int | None = None
        self._wanted: int | None = None
        self._unopened: dict[str, bytes] = {}

    def topics(self) -> list[str]:
        """Return what has to be subscribed to now."""
        topics = [self._grammar.dictionary()] if self._how == "dictionary" else []
        return topics if self._wanted is None else [*topics, self._grammar.dictionary(self._wanted)]

    def pack(self, entry: InFlight) -> SealedReport:
        """Return a report as it is to be sent, after it was counted as sent.

        From the second time on, on one connection, it goes as it is: a bridge that cannot open it
        cannot read whom to answer.
        """
        report = entry.report
        if entry.retry.sent > 1 or self._how == "none":
            return report
        # With a dictionary that the bridge has named, and no other.
        is_ready = self._current is not None and self._dictionaries.current == self._current
        how = "zstd" if self._how == "dictionary" and not is_ready else self._how
        return report._replace(payload=compress(report.payload, how, self._dictionaries))

    def unpack(self, topic: str, payload: bytes) -> bytes:
        """Return a payload without its wrapper.

        Raises:
            UnreadableError: It is broken or too large, or it waits for its dictionary.
        """
        if not payload or not wrappers.is_wrapper(payload):
            return payload
        try:
            return wrappers.unwrap(payload, self._limit_bytes, self._dictionaries)
        except Malformed as malformed:
            if malformed.refusal.error == "unknown_dictionary":
                self._await(topic, payload)
            raise UnreadableError(malformed.refusal.message) from None

    def _await(self, topic: str, payload: bytes) -> None:
        frame = msgpack.unpackb(payload).data
        self._wanted = zstandard.get_frame_parameters(frame).dict_id
        if topic in self._unopened or len(self._unopened) < UNOPENED_MAX:
            self._unopened[topic] = payload

    def received(self, topic: str, payload: bytes) -> Sequence[tuple[str, bytes]] | None:
        """Take a message about dictionaries.

        Returns:
            What waited for it; None where the message is about something else.

        Raises:
            UnreadableError: It is not what it should be.
        """
        if topic == self._grammar.dictionary():
            self._current = _named(payload) if payload else None
            if self._current is not None and self._dictionaries.decoder(self._current) is None:
                self._wanted = self._current
            return ()
        if self._wanted is None or topic != self._grammar.dictionary(self._wanted):
            return None
        return self._learn(Dictionary(self._wanted, payload))

    def _learn(self, dictionary: Dictionary) -> Sequence[tuple[str, bytes]]:
        is_current = dictionary.id == self._current or self._current is None
        others = self._known[: DICTIONARIES_ON_DEVICE - 1]
        known = [dictionary, *others] if is_current else [*others, dictionary]
        try:
            self._dictionaries.replace(known)
        except NoDictionary as error:
            raise UnreadableError(str(error)) from None
        self._known, self._wanted = known, None
        waited, self._unopened = self._unopened, {}
        return [*waited.items()]


def _named(payload: bytes) -> int:
    try:
        number = orjson.loads(payload)["id"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**32:
        raise UnreadableError("it names no dictionary")
    return number
