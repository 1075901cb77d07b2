"""The ledger: what each device and application has sent, and what was answered.

A file of it holds one JSON object a line, in the order in which things happened:

    {"event": "sent", "topic": "sync/lamp-1/report", "payload": {"on": true, "$": {…}}}
    {"event": "accepted", "topic": "sync/lamp-1/report", "payload": {…}}
    {"event": "answered", "topic": "sync/lamp-1/reply/lamp-1", "payload": {"$": {…}}}

`sent` stands there before the message leaves. `accepted` means that the broker has acknowledged
it, and is worth something only where no broker was killed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import orjson

from bridge.device import JsonObject, JsonValue
from bridge.errors import ConfigError
from device_sim.checker.topics import TwinTopic, parse_topic
from device_sim.payload import decode


class Answer(NamedTuple):
    """What the bridge said of one update."""

    ok: bool
    version: int
    is_changed: bool
    is_duplicate: bool
    is_superseded: bool
    code: int


class Origin(NamedTuple):
    """Who writes which section of which twin."""

    twin: str
    section: str
    writer: str


@dataclass(slots=True, eq=False)
class Update:
    """One message of a writer, however often it was sent.

    Attributes:
        origin: Who wrote what.
        order: Position among the writer's messages: when its boot was first seen, and its `seq`;
            for messages without `seq`, when it was sent.
        boot: Its `boot`, or None.
        seq: Its `seq`, or 0.
        patch: What it sets, without `$`.
        is_full: It is the whole section.
        is_accepted: The broker acknowledged it.
        answer: What the bridge answered, the first time that was seen.
    """

    origin: Origin
    order: tuple[int, int]
    boot: JsonValue
    seq: int
    patch: JsonObject
    is_full: bool
    is_accepted: bool = False
    answer: Answer | None = None

    @property
    def is_numbered(self) -> bool:
        """It has a `seq`, so that its order is known and a repeat is harmless."""
        return self.seq > 0

    @property
    def is_acknowledged(self) -> bool:
        """The bridge has answered that it is kept."""
        return self.answer is not None and self.answer.ok

    def __str__(self) -> str:
        verb = "report" if self.origin.section == "reported" else f"desire/{self.origin.writer}"
        if self.is_numbered:
            return f"{verb} boot={self.boot} seq={self.seq}"
        return f"{verb} number {self.order[1]}, without seq"


@dataclass(slots=True)
class _Writer:
    boots: dict[str, int] = field(default_factory=dict)
    numbered: dict[tuple[int, int], Update] = field(default_factory=dict)
    plain: list[Update] = field(default_factory=list)
    unaccepted: list[Update] = field(default_factory=list)
    asked: dict[str, Update] = field(default_factory=dict)


class Ledger:
    """What was sent, accepted and answered.

    Args:
        prefix: Of all topics.
        is_complete: It begins with the first message that the twins ever got, so that whatever
            stands in a twin and was not sent is a violation.
    """

    def __init__(self, prefix: str, *, is_complete: bool) -> None:
        self.prefix = prefix
        self.is_complete = is_complete
        self._writers: dict[Origin, _Writer] = {}

    def sent(self, topic: str, payload: bytes) -> None:
        """Enter a message that is about to be sent, or was seen on its way; repeats are known."""
        self._enter(topic, payload)

    def accepted(self, topic: str, payload: bytes) -> None:
        """Enter that the broker acknowledged a message."""
        update = self._enter(topic, payload, is_new=False)
        if update is not None:
            update.is_accepted = True

    def answered(self, topic: str, payload: bytes) -> None:
        """Enter a reply of the bridge."""
        place = parse_topic(self.prefix, topic)
        document = decode(payload)
        head = None if document is None else document.get("$")
        if place is None or place.verb != "reply" or not isinstance(head, dict):
            return
        answer = _answer(head)
        for section in ("reported", "desired"):
            writer = self._writers.get(Origin(place.twin, section, place.other))
            update = None if writer is None else writer.asked.get(str(head.get("id")))
            if update is not None and update.answer is None:
                update.answer = answer

    def updates(self) -> Iterator[Update]:
        """Yield all updates, each writer's in its order."""
        for origin in self._writers:
            yield from self.of(origin)

    def of(self, origin: Origin) -> list[Update]:
        """Return the updates of a writer in their order."""
        writer = self._writers.get(origin)
        if writer is None:
            return []
        numbered = [writer.numbered[order] for order in sorted(writer.numbered)]
        return [*numbered, *writer.plain]

    def origins(self) -> list[Origin]:
        """Return who has written what."""
        return list(self._writers)

    def unanswered(self) -> list[Update]:
        """Return the updates that have asked for an answer and have none."""
        return [
            update
            for writer in self._writers.values()
            for update in writer.asked.values()
            if update.answer is None
        ]

    def _enter(self, topic: str, payload: bytes, *, is_new: bool = True) -> Update | None:
        place = parse_topic(self.prefix, topic)
        document = decode(payload)
        if place is None or document is None or place.verb not in ("report", "desire"):
            return None
        origin = _origin(place)
        writer = self._writers.setdefault(origin, _Writer())
        head = document.pop("$", None)
        metadata = head if isinstance(head, dict) else {}
        seq = metadata.get("seq")
        if not isinstance(seq, int):
            return _plain(writer, origin, document, metadata, is_new=is_new)
        boot = metadata.get("boot", 0)
        order = (writer.boots.setdefault(str(boot), len(writer.boots)), seq)
        update = writer.numbered.get(order)
        if update is None:
            is_full = metadata.get("full") is True
            update = Update(origin, order, boot, seq, document, is_full)
            writer.numbered[order] = update
            if "id" in metadata:
                writer.asked[str(metadata["id"])] = update
        return update


def _plain(
    writer: _Writer, origin: Origin, document: JsonObject, metadata: JsonObject, *, is_new: bool
) -> Update | None:
    """Enter a message without `seq`: each one is another, though it may say the same."""
    if not is_new:
        # Nearly always the first: a broker acknowledges in order.
        found = next((each for each in writer.unaccepted if each.patch == document), None)
        if found is not None:
            writer.unaccepted.remove(found)
        return found
    update = Update(
        origin, (0, len(writer.plain) + 1), None, 0, document, metadata.get("full") is True
    )
    writer.plain.append(update)
    writer.unaccepted.append(update)
    if "id" in metadata:
        writer.asked[str(metadata["id"])] = update
    return update


def _origin(place: TwinTopic) -> Origin:
    if place.verb == "report":
        return Origin(place.twin, "reported", place.device)
    return Origin(place.twin, "desired", place.other)


def _answer(head: JsonObject) -> Answer:
    version, code = head.get("version"), head.get("code")
    return Answer(
        head.get("ok") is True,
        version if isinstance(version, int) else 0,
        head.get("changed") is True,
        head.get("duplicate") is True,
        head.get("superseded") is True,
        code if isinstance(code, int) else 0,
    )


def line(event: str, topic: str, payload: bytes) -> bytes:
    """Return a line of a ledger's file; the payload is JSON, on one line."""
    head = orjson.dumps({"event": event, "topic": topic})
    return b'%b,"payload":%b}\n' % (head[:-1], payload)


def read_ledger(files: Iterable[Path], prefix: str, *, is_complete: bool = True) -> Ledger:
    """Read the files of a ledger, one after the other.

    A last line that was cut short, as by a kill of its writer, is passed over.

    Raises:
        ConfigError: A file cannot be read, or holds something else.
    """
    ledger = Ledger(prefix, is_complete=is_complete)
    enter = {"sent": ledger.sent, "accepted": ledger.accepted, "answered": ledger.answered}
    for path in files:
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise ConfigError(f"the ledger {path} cannot be read: {error.strerror}") from error
        for number, text in enumerate(lines[:-1], 1):
            try:
                entry = orjson.loads(text)
                enter[entry["event"]](entry["topic"], orjson.dumps(entry["payload"]))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(
                    f"{path}, line {number}: no entry of a ledger: {text[:80]!r}",
                    hint='write {"event": "sent", "topic": "sync/lamp-1/report", "payload": {…}}',
                ) from error
    return ledger
