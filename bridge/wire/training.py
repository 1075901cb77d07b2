"""Samples for a dictionary, made of stored twins without what only a few of them say.

A dictionary is read by everybody who may read its topic. What stands in it must be what the fleet
has in common, and not one device's secret: so keys and texts that few devices have are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from bridge.core.section import JsonObject, JsonValue
from bridge.core.update import SECTIONS
from bridge.wire.dictionaries import NoDictionary

SHARED_BY: Final = 5
"""Devices that must have a key or a text before it may stand in a dictionary."""

SAMPLE_TWINS_MAX: Final = 10_000
"""Twins that are looked at: more make it no better."""

SAMPLE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of all samples: they are trained in about a second."""

_TEXT_CHARACTERS: Final = 64
"""Longer texts are nobody's in common."""


def samples_of(states: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """Return payloads such as twins like these send and are sent.

    Args:
        states: Devices and merged twins of theirs, as JSON.

    Returns:
        For each twin a report with and without `$`, a delta, and the state, until they are
        `SAMPLE_BYTES_MAX`.

    Raises:
        NoDictionary: Fewer than `SHARED_BY` devices are there.
    """
    documents: list[JsonObject] = []
    words: defaultdict[str, set[str]] = defaultdict(set)
    for device, state in states:
        document: JsonObject = orjson.loads(state)
        documents.append(document)
        words[device].update(_words(document))
    if len(words) < SHARED_BY:
        raise NoDictionary(
            f"there are {len(words)} devices, and what goes into a dictionary has to be shared "
            f"by {SHARED_BY}"
        )
    shared = _shared(words.values())
    samples: list[bytes] = []
    size_bytes = 0
    for document in documents:
        for sample in _payloads(document, shared):
            size_bytes += len(sample)
            if size_bytes > SAMPLE_BYTES_MAX:
                return samples
            samples.append(sample)
    return samples


def _shared(words: Iterable[set[str]]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for words_of_one in words:
        counts.update(words_of_one)
    return frozenset(word for word, count in counts.items() if count >= SHARED_BY)


def _words(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _words(member)
    elif isinstance(value, list):
        for member in value:
            yield from _words(member)


def _common(value: JsonValue, shared: frozenset[str]) -> JsonValue:
    if isinstance(value, dict):
        return {name: _common(each, shared) for name, each in value.items() if name in shared}
    if isinstance(value, list):
        return [_common(each, shared) for each in value]
    if isinstance(value, str):
        return value if value in shared and len(value) <= _TEXT_CHARACTERS else ""
    # A number may be a secret too; what zstd needs of it is that there is one.
    return value if value is None or isinstance(value, bool) else 0


def _payloads(document: JsonObject, shared: frozenset[str]) -> Iterator[bytes]:
    state: JsonObject = {"version": document["version"], "at": document["at"]}
    for name in SECTIONS:
        section = _common(document[name], shared)
        state[name] = section
        if not isinstance(section, dict) or not section:
            continue
        if name == "reported":
            yield orjson.dumps(section)
            yield orjson.dumps({**section, "$": _metadata(section)})
        else:
            yield orjson.dumps({**state, "state": section})
    if "online" in document:
        state["online"] = document["online"]
    yield orjson.dumps(state)


def _metadata(section: JsonObject) -> JsonObject:
    """Return a `$` as the device library writes it, with numbers that are nobody's."""
    boot = hashlib.sha256(orjson.dumps(section)).hexdigest()[:32]
    return {"id": f"{boot}.1", "boot": boot, "seq": 1, "seen": 1}
