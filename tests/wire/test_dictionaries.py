"""Dictionaries of zstd: made of what a fleet has in common, and nothing that is one device's."""

from __future__ import annotations

import msgpack
import orjson
import pytest
import zstandard

from bridge.core.limits import Limits
from bridge.wire.compression import compress
from bridge.wire.dictionaries import (
    DICTIONARIES_KEPT,
    Dictionaries,
    Dictionary,
    NoDictionary,
    train,
)
from bridge.wire.inbound import decode_body
from bridge.wire.training import SHARED_BY, samples_of

LIMITS = Limits()


def states(count: int, **more: object) -> list[bytes]:
    """A fleet's twins, alike but for their values."""
    return [
        orjson.dumps(
            {
                "version": number,
                "at": 1_795_389_192_794_000 + number,
                "reported": {"on": number % 2 == 0, "brightness": number, "mode": "evening",
                             "name": f"lamp of room {number}", "color": {"r": number, "g": 2},
                             **more},
                "desired": {"brightness": number, "mode": "evening"},
                "online": True,
            }
        )
        for number in range(count)
    ]  # fmt: skip


def enumerated(documents: list[bytes]) -> list[tuple[str, bytes]]:
    """These twins, each of a device of its own."""
    return [(f"d{number}", document) for number, document in enumerate(documents)]


def trained(count: int = 300, size_bytes: int = 2048) -> Dictionary:
    """A dictionary of such a fleet."""
    return train(samples_of(enumerated(states(count))), size_bytes)


PAYLOAD = b'{"on":true,"brightness":55,"mode":"evening","color":{"r":1,"g":2},"$":{"id":"a"}}'


def test_a_payload_is_the_same_with_and_without_a_dictionary() -> None:
    """And smaller with one than without."""
    known = Dictionaries([trained()])
    packed = compress(PAYLOAD, "dictionary", known)
    assert len(packed) < 0.6 * len(compress(PAYLOAD, "zstd", known))
    assert decode_body(packed, LIMITS, known).state == decode_body(PAYLOAD, LIMITS).state


def test_what_was_made_with_an_older_dictionary_is_still_opened() -> None:
    """Devices learn of a new one when they are online."""
    old, new = trained(300), trained(200, 4096)
    packed = compress(PAYLOAD, "dictionary", Dictionaries([old]))
    assert decode_body(packed, LIMITS, Dictionaries([new, old])).refusal is None


def test_a_dictionary_that_is_not_known_is_refused_with_those_that_are() -> None:
    """So that the device can read the current one, or do without."""
    old, new = trained(300), trained(200, 4096)
    packed = compress(PAYLOAD, "dictionary", Dictionaries([old]))
    refusal = decode_body(packed, LIMITS, Dictionaries([new])).refusal
    assert refusal is not None
    assert (refusal.code, refusal.error) == (415, "unknown_dictionary")
    assert str(old.id) in refusal.message
    assert str(new.id) in refusal.message
    assert decode_body(packed, LIMITS).refusal is not None


def test_a_bomb_is_refused_with_a_dictionary_too() -> None:
    """With its size in the frame, and without."""
    known = Dictionaries([dictionary := trained()])
    data = zstandard.ZstdCompressionDict(dictionary.content)
    zeros = b'{"a":"' + bytes(LIMITS.payload_bytes) + b'"}'
    for sized in (True, False):
        encoder = zstandard.ZstdCompressor(dict_data=data, write_content_size=sized)
        stream = encoder.compressobj()
        frame = encoder.compress(zeros) if sized else stream.compress(zeros) + stream.flush()
        refusal = decode_body(msgpack.packb(msgpack.ExtType(2, frame)), LIMITS, known).refusal
        assert refusal is not None
        assert refusal.code == 413


def test_only_so_many_dictionaries_are_kept_ready() -> None:
    """The current one first."""
    every = [trained(100 + 7 * number, 1024) for number in range(DICTIONARIES_KEPT + 2)]
    assert Dictionaries(every).ids == [each.id for each in every[:DICTIONARIES_KEPT]]


@pytest.mark.parametrize("content", [b"", b"no dictionary", bytes(70_000)])
def test_what_is_no_dictionary_is_not_taken(content: bytes) -> None:
    """A device reads it from a topic."""
    with pytest.raises(NoDictionary):
        Dictionaries([Dictionary(7, content)])


def test_a_dictionary_under_another_s_id_is_not_taken() -> None:
    """Frames made with it would say something else."""
    with pytest.raises(NoDictionary):
        Dictionaries([trained()._replace(id=7)])


def test_what_few_twins_say_does_not_come_into_a_dictionary() -> None:
    """Whoever may read the topic would read one device's secrets."""
    fleet = states(300)
    secret = orjson.dumps({"version": 1, "at": 1, "desired": {"wifi_password": "hunter2-correct"},
                           "reported": {"mode": "evening", "pin": 918273645}})  # fmt: skip
    samples = samples_of(enumerated([*fleet, *[secret] * (SHARED_BY - 1)]))
    together = b"\n".join(samples)
    for word in (b"hunter2", b"wifi_password", b"918273645", b"room 17"):
        assert word not in together
    assert b"evening" in together
    assert b"hunter2" in b"\n".join(samples_of(enumerated([*fleet, *[secret] * SHARED_BY])))


def test_what_one_device_says_often_does_not_come_into_a_dictionary() -> None:
    """In many twins of its own."""
    secret = orjson.dumps({"version": 1, "at": 1, "desired": {}, "reported": {"key": "hunter2"}})
    own = [("lamp-1", secret)] * (2 * SHARED_BY)
    assert b"hunter2" not in b"\n".join(samples_of([*enumerated(states(300)), *own]))


def test_of_too_few_twins_no_dictionary_is_made() -> None:
    """It would be of no use, and tell of each."""
    with pytest.raises(NoDictionary):
        samples_of(enumerated(states(SHARED_BY - 1)))
    with pytest.raises(NoDictionary):
        train([b"{}"] * 3, 2048)


@pytest.mark.parametrize("how", ["none", "zlib", "zstd", "dictionary"])
def test_what_would_not_become_smaller_stays_as_it_is(how: str) -> None:
    """A wrapper around little is more than the little."""
    assert compress(b"{}", how, Dictionaries()) == b"{}"  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["zlib", "zstd", "dictionary"])
def test_a_wrapper_is_not_compressed_again(how: str) -> None:
    """What is sealed stays as it was sealed, and what is compressed would be refused."""
    sealed: bytes = msgpack.packb(msgpack.ExtType(16, bytes(500)))
    assert compress(sealed, how, Dictionaries()) == sealed  # type: ignore[arg-type]
