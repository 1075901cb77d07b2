"""Compression on a device: what goes out how often, and what waits for its dictionary."""

from __future__ import annotations

import orjson
import pytest

from bridge.core.limits import Limits
from bridge.core.topics import TopicGrammar
from bridge.device.kept import SealedReport
from bridge.device.outbox import InFlight
from bridge.device.packing import UNOPENED_MAX, Packing
from bridge.device.payload import UnreadableError
from bridge.device.retry import Retry
from bridge.wire.compression import compress
from bridge.wire.dictionaries import Dictionaries, Dictionary, train
from bridge.wire.wrappers import is_wrapper

GRAMMAR = TopicGrammar("sync")
POINTER = "sync/$bridge/dictionary"
PAYLOAD = orjson.dumps({"mode": "evening", "brightness": 55, "colour": "warm white", "on": True})


def trained() -> Dictionary:
    """A dictionary of such payloads."""
    return train([PAYLOAD.replace(b"55", str(number).encode()) for number in range(500)], 1024)


def name(packing: Packing, dictionary: Dictionary) -> None:
    """Tell of the current dictionary, as the bridge does."""
    assert packing.received(POINTER, orjson.dumps({"id": dictionary.id})) == ()


def entry(times: int) -> InFlight:
    """A report that was sent so often."""
    retry = Retry(0.0)
    for _ in range(times):
        retry.take(1e9 * times, 1.0)
        retry.due = 0.0
    return InFlight(SealedReport("b1", 1, PAYLOAD), range(1), retry)


def test_a_dictionary_is_fetched_where_it_is_named_and_used_from_then_on() -> None:
    """And the topic is left again."""
    packing, dictionary = Packing(GRAMMAR, "dictionary", Limits()), trained()
    assert packing.topics() == [POINTER]
    name(packing, dictionary)
    assert packing.topics() == [POINTER, f"{POINTER}/{dictionary.id}"]
    assert packing.received(f"{POINTER}/{dictionary.id}", dictionary.content) == []
    assert packing.topics() == [POINTER]
    packed = packing.pack(entry(1)).payload
    assert packed == compress(PAYLOAD, "dictionary", Dictionaries([dictionary]))
    assert packing.unpack("t", packed) == PAYLOAD


def test_what_was_not_answered_goes_again_as_it_is() -> None:
    """A bridge that could not open it could answer nobody."""
    packing = Packing(GRAMMAR, "zlib", Limits())
    long = entry(1)
    report = long.report._replace(payload=PAYLOAD * 9)
    assert is_wrapper(packing.pack(InFlight(report, range(1), entry(1).retry)).payload)
    assert packing.pack(InFlight(report, range(1), entry(2).retry)) == report


def test_what_waits_for_its_dictionary_is_followed_when_that_is_there() -> None:
    """The newest on each topic, and no more topics than a device has."""
    packing, dictionary = Packing(GRAMMAR, "none", Limits()), trained()
    packed = compress(PAYLOAD, "dictionary", Dictionaries([dictionary]))
    for number in range(UNOPENED_MAX + 2):
        with pytest.raises(UnreadableError):
            packing.unpack(f"topic-{number}", packed)
    (topic,) = packing.topics()
    assert topic == f"{POINTER}/{dictionary.id}"
    waited = packing.received(topic, dictionary.content)
    assert waited == [(f"topic-{number}", packed) for number in range(UNOPENED_MAX)]
    assert packing.unpack("topic-0", packed) == PAYLOAD


@pytest.mark.parametrize("payload", [b"x", b"[]", b'{"id":"7"}', b'{"id":true}', b'{"id":-1}'])
def test_a_pointer_that_names_nothing_is_passed_over(payload: bytes) -> None:
    """Whoever has written it."""
    with pytest.raises(UnreadableError):
        Packing(GRAMMAR, "dictionary", Limits()).received(POINTER, payload)


def test_a_device_that_seals_may_not_compress() -> None:
    """A length would tell of the content, and a repeat would have other bytes."""
    with pytest.raises(ValueError, match="seals"):
        Packing(GRAMMAR, "zstd", Limits(), is_sealing=True)
    Packing(GRAMMAR, "none", Limits(), is_sealing=True)
