"""The topic grammar, both ways (design section 2).

Everything here works on topics *below* the configured prefix except `TopicGrammar`, which knows it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.core.refusal import Refusal

VERBS = frozenset(
    {
        "report", "desire", "get", "delete", "presence",
        "state", "delta", "reply", "resync", "event",
    }
)  # fmt: skip
RESERVED_WORDS = frozenset({"enrol", "call", "key", "dictionary", "history", "meta"})

_ENROL = "/enrol"

_IDENTIFIER = re.compile(r"[A-Za-z0-9_:@~-][A-Za-z0-9._:@~-]{0,127}\Z")
IDENTIFIER_RULE = "1 to 128 of A-Z a-z 0-9 . _ : @ ~ - and not starting with a dot"

# Verb of an inbound topic -> whether a name of the sender stands behind it.
_INBOUND = {"report": False, "desire": True, "get": True, "delete": True, "presence": False}


class TwinKey(NamedTuple):
    """Which document: the device, and the twin's name (empty for the unnamed one)."""

    device: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.device}/{self.name}" if self.name else self.device


class InboundTopic(NamedTuple):
    """A parsed topic that the bridge subscribes to.

    Attributes:
        key: The twin that it is about.
        verb: One of report, desire, get, delete, presence.
        sender: Who sent it, as the topic says: the device itself, or the writer or requester.
    """

    key: TwinKey
    verb: str
    sender: str


def is_device_id(text: str) -> bool:
    """Tell whether `text` may be a device id."""
    return _IDENTIFIER.match(text) is not None


def is_name(text: str) -> bool:
    """Tell whether `text` may name a twin, a writer or a requester."""
    return is_device_id(text) and text not in VERBS and text not in RESERVED_WORDS


class TopicGrammar:
    """Topics below one prefix, such as `sync` or `plant/7/sync`.

    Raises:
        ValueError: The prefix is empty, has a wildcard, or an empty or `$` level.
    """

    def __init__(self, prefix: str = "sync") -> None:
        levels = prefix.split("/")
        if not all(levels) or any(c in prefix for c in "+#\0") or prefix.startswith("$"):
            raise ValueError(
                f"topic prefix {prefix!r}: one or more levels, none of them empty, "
                "without + or # and not starting with $"
            )
        self.prefix = prefix
        self._start = prefix + "/"
        self.status = f"{prefix}/$bridge/status"
        self.doctor = f"{prefix}/$bridge/doctor"

    def parse(self, topic: str) -> InboundTopic | Refusal:
        """Parse a topic that arrived; a refusal (400) for every shape that is not ours."""
        if not topic.startswith(self._start):
            return _bad_topic(topic, f"it is not below {self._start}")
        levels = topic[len(self._start) :].split("/")
        if len(levels) < 2:
            return _bad_topic(topic, "a device id and a verb are expected")
        device = levels[0]
        if not is_device_id(device):
            return _bad_topic(topic, f"a device id is {IDENTIFIER_RULE}")
        name = ""
        rest = levels[1:]
        if rest[0] not in VERBS:
            name = rest[0]
            rest = rest[1:]
            if not is_name(name):
                return _bad_topic(topic, f"a twin's name is {IDENTIFIER_RULE}, and not a verb")
        return self._parse_verb(topic, TwinKey(device, name), rest)

    def _parse_verb(self, topic: str, key: TwinKey, rest: list[str]) -> InboundTopic | Refusal:
        verb = rest[0] if rest else ""
        takes_sender = _INBOUND.get(verb)
        if takes_sender is None:
            return _bad_topic(topic, "it ends in none of report, desire, get, delete, presence")
        if len(rest) != (2 if takes_sender else 1):
            return _bad_topic(
                topic,
                f"{verb} is followed by the name of who sends it"
                if takes_sender
                else f"nothing follows {verb}",
            )
        if verb == "presence" and key.name:
            return _bad_topic(topic, "presence is the device's, not a named twin's")
        if not takes_sender:
            return InboundTopic(key, verb, key.device)
        if not is_name(rest[1]):
            return _bad_topic(topic, f"a sender's name is {IDENTIFIER_RULE}, and not a verb")
        return InboundTopic(key, verb, rest[1])

    def enrolling(self, topic: str) -> str | None:
        """Return which device asks for its key on a topic; None where it is no such topic."""
        device = topic[len(self._start) : -len(_ENROL)]
        is_one = topic == f"{self._start}{device}{_ENROL}" and is_device_id(device)
        return device if is_one else None

    def topic(self, key: TwinKey, verb: str, sender: str = "") -> str:
        """Build the topic of a twin for a verb, and for a sender or requester where given."""
        topic = f"{self._start}{key.device}/"
        if key.name:
            topic += key.name + "/"
        topic += verb
        return f"{topic}/{sender}" if sender else topic

    def dictionary(self, number: int | None = None) -> str:
        """Return the topic of a dictionary; without its number, of what names the current one."""
        topic = f"{self._start}$bridge/dictionary"
        return topic if number is None else f"{topic}/{number}"

    def filters(self) -> tuple[str, ...]:
        """Return the QoS 1 filters that the bridge subscribes to, presence excepted."""
        shapes = ("report", "desire/+", "get/+", "delete/+")
        return tuple(
            f"{self._start}{levels}/{shape}" for levels in ("+", "+/+") for shape in shapes
        )

    def enrol_filter(self) -> str:
        """Return the filter of what devices ask for their keys on."""
        return f"{self._start}+{_ENROL}"

    def presence_filter(self) -> str:
        """Return the filter of all devices' presence."""
        return f"{self._start}+/presence"


def _bad_topic(topic: str, why: str) -> Refusal:
    shown = topic if len(topic) <= 200 else topic[:200] + "…"
    return Refusal(400, "bad_topic", f"topic {shown!r}: {why}")
