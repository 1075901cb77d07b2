"""What the bridge retains, as a reader sees it: topics, states, deltas, and what changed.

No input or output here: messages go in, changes come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from bridge.cli.given_keys import NO_KEYS, GivenKeys
from bridge.core.limits import TIME_MAX
from bridge.core.section import JsonObject, JsonValue
from bridge.core.topics import TopicGrammar, TwinKey, is_device_id, is_name
from bridge.device.events import Twin
from bridge.device.payload import SealedError, UnreadableError, decode
from bridge.device.replies import read_delta, read_twin

Verb: TypeAlias = Literal["state", "delta"]
_VERBS: dict[str, Verb] = {"state": "state", "delta": "delta"}
_ANY = "+"


class Observed(NamedTuple):
    """One published state or delta.

    Attributes:
        key: The twin.
        verb: Which of both it is.
        twin: The state; None for a delta, and where the twin was deleted.
        delta: The delta, empty where it was cleared; None for a state.
        version: The twin's version, None where the topic was cleared.
        at: The bridge's time of it in µs, None likewise.
    """

    key: TwinKey
    verb: Verb
    twin: Twin | None
    delta: JsonObject | None
    version: int | None
    at: int | None


class SealedTopic(UnreadableError):
    """A state or a delta is sealed, and no key was given that opens it.

    Attributes:
        key: The twin.
        verb: Which of both it is.
    """

    def __init__(self, key: TwinKey, verb: Verb) -> None:
        super().__init__("it is sealed")
        self.key = key
        self.verb = verb


class RetainedTopics:
    """The topics on which the bridge retains states and deltas, below one prefix.

    Args:
        prefix: Of all topics.
        keys: Open what is sealed.
    """

    def __init__(self, prefix: str, keys: GivenKeys = NO_KEYS) -> None:
        self._keys = keys
        self._grammar = TopicGrammar(prefix)
        self._start = prefix + "/"

    def filters(self, devices: Sequence[str], name: str) -> list[str]:
        """Return the filters for some devices (none: all), and one name (empty: all twins)."""
        names = (name,) if name else ("", _ANY)
        return [
            self._grammar.topic(TwinKey(device, each), verb)
            for device in (devices or (_ANY,))
            for each in names
            for verb in _VERBS
        ]

    def read(self, topic: str, payload: bytes) -> Observed | None:
        """Read a message; None if its topic is not one of a state or a delta.

        Raises:
            SealedTopic: The payload is sealed, and no key opens it.
            UnreadableError: The payload is not what the bridge publishes there.
        """
        parsed = self._parse(topic)
        if parsed is None:
            return None
        key, verb = parsed
        if not payload:
            return Observed(key, verb, None, None if verb == "state" else {}, None, None)
        try:
            document = decode(self._keys.open(key, verb, topic, payload))
        except SealedError as error:
            raise SealedTopic(key, verb) from error
        if verb == "state":
            twin = read_twin(document)
            return Observed(key, verb, twin, None, twin.version, _time(twin.at))
        delta = read_delta(document)
        return Observed(key, verb, None, delta.state, delta.version, _time(document.get("at")))

    def _parse(self, topic: str) -> tuple[TwinKey, Verb] | None:
        *levels, last = topic.removeprefix(self._start).split("/")
        verb = _VERBS.get(last)
        if verb is None or not levels or not is_device_id(levels[0]):
            return None
        if len(levels) == 1:
            return TwinKey(levels[0]), verb
        if len(levels) == 2 and is_name(levels[1]):
            return TwinKey(levels[0], levels[1]), verb
        return None


def _time(at: JsonValue) -> int:
    if isinstance(at, int) and 0 <= at <= TIME_MAX:
        return at
    raise UnreadableError("at is not a time in µs")


class Change(NamedTuple):
    """What a message has changed for who has seen those before.

    Attributes:
        observed: The message.
        before: The state seen before; None if it is the first, and for a delta.
        previous_version: The version seen before on that topic; None if it is the first.
    """

    observed: Observed
    before: Twin | None
    previous_version: int | None

    @property
    def is_first(self) -> bool:
        """Nothing of this twin was seen on that topic before."""
        return self.previous_version is None


@dataclass(slots=True)
class _Seen:
    """The last of one topic: its version, and what was there (None: cleared)."""

    version: int
    twin: Twin | None
    is_there: bool


class Watcher:
    """Remembers the last state and delta of each twin, and drops what is not newer.

    Holds one state per twin that is watched; what it takes is bounded by what the broker retains.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[TwinKey, Verb], _Seen] = {}

    def take(self, observed: Observed) -> Change | None:
        """Return what is new about a message, or None if nothing is."""
        place = (observed.key, observed.verb)
        last = self._seen.get(place)
        if observed.version is None:
            return self._take_cleared(observed, last)
        if last is not None and observed.version <= last.version:
            return None
        self._seen[place] = _Seen(observed.version, observed.twin, is_there=True)
        if last is None:
            return Change(observed, None, None)
        return Change(observed, last.twin, last.version)

    def _take_cleared(self, observed: Observed, last: _Seen | None) -> Change | None:
        if last is None or not last.is_there:
            return None
        last.is_there = False
        before, last.twin = last.twin, None
        return Change(observed, before, last.version)
