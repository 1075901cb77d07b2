"""Sealed frames: what opens, what does not, and what a second implementation makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.refusal import Refusal
from bridge.security.frame import (
    SEQ_MAX,
    Algorithm,
    Frame,
    associated_data,
    parse_frame,
    seq_bytes,
)
from bridge.security.sealing import DeviceKey, Opened, Opener, Sealer
from tests.security import second_sealing

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "sealed-payloads.json").read_text()
)
TOPIC = "sync/lamp-1/report"
PAYLOAD = b'{"on":true}'
BOOT = bytes(range(16))
BOTH = pytest.mark.parametrize("algorithm", list(Algorithm))


def make_key(algorithm: Algorithm = Algorithm.AES_256_GCM, **other: Any) -> DeviceKey:
    """Return the device's key, or one like it."""
    return DeviceKey("lamp-1", 1, algorithm, bytes(range(32)))._replace(**other)


def seal_one(key: DeviceKey) -> bytes:
    """Seal the first message of a boot."""
    return Sealer(key, "up", TOPIC, BOOT).seal(PAYLOAD)


def refused(result: Opened | Refusal) -> tuple[int, str]:
    """Return why a frame was refused; it must have been."""
    assert isinstance(result, Refusal), result
    return result.code, result.error


NOT_VALID = (401, "seal_not_valid")


@pytest.mark.parametrize("vector", VECTORS, ids=[v["comment"] for v in VECTORS])
def test_each_vector_opens(vector: dict[str, Any]) -> None:
    """The documented frames open to the documented payload."""
    key = DeviceKey(
        vector["device"],
        vector["key_id"],
        Algorithm(vector["algorithm"]),
        bytes.fromhex(vector["key"]),
    )
    frame = bytes.fromhex(vector["frame"])
    opened = Opener().open(frame, [key], vector["direction"], vector["topic"])
    expected = bytes.fromhex(vector["payload"]), bytes.fromhex(vector["boot"]), vector["seq"]
    assert opened == Opened(*expected, vector["key_id"])
    covered = associated_data(
        key.algorithm, key.key_id, key.device, vector["direction"], vector["topic"], expected[1]
    )
    assert (covered + seq_bytes(vector["seq"])).hex() == vector["associated_data"]
    parsed = parse_frame(frame)
    assert isinstance(parsed, Frame)
    assert parsed.encode() == frame


@pytest.mark.parametrize("vector", VECTORS, ids=[v["comment"] for v in VECTORS])
def test_a_second_implementation_makes_each_vector(vector: dict[str, Any]) -> None:
    """What is written from the page alone comes to the same bytes."""
    made = second_sealing.seal(
        vector["device"],
        vector["direction"],
        vector["topic"],
        vector["algorithm"],
        vector["key_id"],
        bytes.fromhex(vector["key"]),
        bytes.fromhex(vector["boot"]),
        vector["seq"],
        bytes.fromhex(vector["payload"]),
    )
    for name, value in made._asdict().items():
        assert value.hex() == vector[name], name


@given(
    algorithm=st.sampled_from(Algorithm),
    secret=st.binary(min_size=32, max_size=32),
    boot=st.binary(min_size=16, max_size=16),
    payload=st.binary(max_size=400),
    topic=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_both_implementations_seal_alike(
    algorithm: Algorithm, secret: bytes, boot: bytes, payload: bytes, topic: str
) -> None:
    """Whatever is sealed: both make the same frame, and it opens."""
    key = make_key(algorithm, secret=secret)
    frame = Sealer(key, "down", topic, boot).seal(payload)
    second = second_sealing.seal("lamp-1", "down", topic, algorithm, 1, secret, boot, 1, payload)
    assert frame == second.frame
    assert Opener().open(frame, [key], "down", topic) == Opened(payload, boot, 1, 1)


def test_the_second_implementation_keeps_to_the_rfcs() -> None:
    """RFC 5869 appendix A.1; RFC 8439 section 2.8.2."""
    derived = second_sealing.hkdf_sha256(
        b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42
    )
    assert derived.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    sealed = second_sealing.chacha20_poly1305(
        bytes(range(0x80, 0xA0)),
        bytes.fromhex("070000004041424344454647"),
        text,
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
    )
    assert sealed[:8].hex() == "d31a8d34648e60db"
    assert sealed[-16:].hex() == "1ae10b594f09e26a7e902ecbd0600691"


@BOTH
def test_no_bit_can_be_changed(algorithm: Algorithm) -> None:
    """Every single bit of a frame is covered: by the tag, or by the ext's own head.

    Also where its boot has been opened before, whose derived key is kept.
    """
    key = make_key(algorithm)
    frame, opener = seal_one(key), Opener()
    for boots_opened in (0, 1):
        for position in range(8 * len(frame)):
            changed = bytearray(frame)
            changed[position // 8] ^= 1 << position % 8
            result = opener.open(bytes(changed), [key], "up", TOPIC)
            assert isinstance(result, Refusal), position
        assert len(opener) == boots_opened
        assert isinstance(opener.open(frame, [key], "up", TOPIC), Opened)


@BOTH
def test_a_frame_opens_only_where_it_belongs(algorithm: Algorithm) -> None:
    """Another topic, direction, device or key does not open it, before it was opened and after."""
    key = make_key(algorithm)
    frame, opener = seal_one(key), Opener()
    other_device, other_secret = key._replace(device="lamp-2"), key._replace(secret=bytes(32))
    for _ in range(2):
        assert refused(opener.open(frame, [key], "up", "sync/lamp-1/desire/lamp-1")) == NOT_VALID
        assert refused(opener.open(frame, [key], "down", TOPIC)) == NOT_VALID
        assert refused(opener.open(frame, [other_device], "up", TOPIC)) == NOT_VALID
        assert refused(opener.open(frame, [other_secret], "up", TOPIC)) == NOT_VALID
        assert isinstance(opener.open(frame, [key], "up", TOPIC), Opened)


def test_a_message_cannot_choose_its_algorithm() -> None:
    """A frame sealed properly, but with the other algorithm than the record's, is refused."""
    key = make_key(Algorithm.AES_256_GCM)
    frame = seal_one(key._replace(algorithm=Algorithm.CHACHA20_POLY1305))
    result = Opener().open(frame, [key], "up", TOPIC)
    assert refused(result) == NOT_VALID
    assert isinstance(result, Refusal)
    assert "AES_256_GCM" in result.message


def test_a_revoked_key_opens_nothing_any_more() -> None:
    """Not even a boot whose derived key is still kept."""
    key, opener = make_key(), Opener()
    frame = seal_one(key)
    assert isinstance(opener.open(frame, [key], "up", TOPIC), Opened)
    assert refused(opener.open(frame, [], "up", TOPIC)) == NOT_VALID
    opener.forget("lamp-2")
    assert len(opener) == 1
    opener.forget("lamp-1")
    assert len(opener) == 0


def test_while_keys_are_changed_both_open() -> None:
    """The current and the next key are told apart by their id."""
    current, following = make_key(), make_key(key_id=2, secret=bytes(32))
    for key in (current, following):
        opened = Opener().open(seal_one(key), [current, following], "up", TOPIC)
        assert isinstance(opened, Opened)
        assert opened.key_id == key.key_id


def test_what_is_kept_is_bounded_and_forgeries_push_nothing_out() -> None:
    """The least recently used boot goes; frames that do not open leave no trace."""
    key, opener = make_key(), Opener(ciphers_kept=2)
    frames = [Sealer(key, "up", TOPIC, bytes([n]) * 16).seal(PAYLOAD) for n in range(3)]
    for frame in frames:
        opener.open(frame, [key], "up", TOPIC)
        assert len(opener) <= 2
    forged = Frame(key.algorithm, 1, BOOT, 1, bytes(40)).encode()
    before = list(opener._ciphers)
    assert refused(opener.open(forged, [key], "up", TOPIC)) == NOT_VALID
    assert list(opener._ciphers) == before
    assert [boot[0] for *_, boot in before] == [1, 2]


def test_seq_counts_up_in_a_boot_that_is_random() -> None:
    """Two starts never share a boot, so that neither shares a nonce."""
    sealers = [Sealer(make_key(), "up", TOPIC) for _ in range(2)]
    frames = [parse_frame(sealer.seal(PAYLOAD)) for sealer in sealers for _ in range(2)]
    assert [frame.seq for frame in frames if isinstance(frame, Frame)] == [1, 2, 1, 2]
    assert len({frame.boot for frame in frames if isinstance(frame, Frame)}) == 2


def test_a_boot_that_has_no_number_left_ends() -> None:
    """A nonce is not used again."""
    sealer = Sealer(make_key(), "up", TOPIC)
    sealer._seq = SEQ_MAX
    with pytest.raises(OverflowError, match="new one"):
        sealer.seal(PAYLOAD)


@pytest.mark.parametrize(
    ("key", "boot"),
    [(make_key(), b"short"), (make_key(secret=bytes(16)), BOOT), (make_key(key_id=2**32), BOOT)],
)
def test_what_cannot_be_sealed_with_is_an_error(key: DeviceKey, boot: bytes) -> None:
    """Wrong lengths and numbers are found before anything is sealed."""
    with pytest.raises(ValueError, match=r"bytes|key id"):
        Sealer(key, "up", TOPIC, boot)


def _ext(data: bytes, code: int = 16) -> bytes:
    packed: bytes = msgpack.packb(msgpack.ExtType(code, data))
    return packed


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (400, "bad_seal")),
        (seal_one(make_key())[:-1], (400, "bad_seal")),
        (seal_one(make_key()) + b"x", (400, "bad_seal")),
        (b'{"on":true}', (400, "bad_seal")),
        (b"\x80", (415, "not_sealed")),
        (_ext(bytes(60), 1), (415, "not_sealed")),
        (_ext(bytes(45)), (400, "bad_seal")),
        (_ext(b"\x02" + bytes(60)), (415, "unknown_seal")),
        (_ext(b"\x01\x01" + bytes(60)), (400, "bad_seal")),
        (_ext(b"\x01\x01" + bytes(20) + (2**53).to_bytes(8) + bytes(16)), (400, "bad_seal")),
    ],
)
def test_what_is_no_frame_is_refused(payload: bytes, expected: tuple[int, str]) -> None:
    """Each with its code and name."""
    assert refused(Opener().open(payload, [make_key()], "up", TOPIC)) == expected


@pytest.mark.parametrize("size_bytes", [0, 209, 210, 2**16 - 47, 2**16 - 46])
def test_a_frame_is_an_ext_as_msgpack_writes_it(size_bytes: int) -> None:
    """Whatever its length: with one, two or four bytes for it, and read back from either."""
    key, payload = make_key(), bytes(size_bytes)
    frame = Sealer(key, "up", TOPIC, BOOT).seal(payload)
    extension = msgpack.unpackb(frame)
    assert frame == _ext(extension.data)
    longer = b"\xc9" + len(extension.data).to_bytes(4) + b"\x10" + extension.data
    for written in (frame, longer):
        assert Opener().open(written, [key], "up", TOPIC) == Opened(payload, BOOT, 1, 1)


_HEADS = st.binary(max_size=60).map(lambda data: _ext(b"\x01\x01\x00\x00\x00\x01" + data))


@given(st.one_of(st.binary(max_size=200), _HEADS, st.binary(max_size=99).map(_ext)))
def test_no_bytes_make_it_fail_or_open(payload: bytes) -> None:
    """Whatever arrives: a refusal, and no exception."""
    result = Opener().open(payload, [make_key()], "up", TOPIC)
    assert isinstance(result, Refusal)


def test_a_key_does_not_show_its_secret() -> None:
    """Neither in a log nor in a traceback."""
    key = make_key(secret=b"s" * 32)
    assert "ssss" not in f"{key!r} {key}"
