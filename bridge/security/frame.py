"""The bytes of a sealed frame; docs/sealed-payloads.md draws them.

A frame is a msgpack ext of type 16. Its data is a head of 30 bytes, which is not secret, and the
ciphertext with its tag of 16 bytes.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, Literal, NamedTuple, TypeAlias

import msgpack

from bridge.core.limits import TIME_MAX
from bridge.core.refusal import Refusal

SEALED: Final = 16
"""msgpack ext type of a sealed frame."""

FORMAT_VERSION: Final = 1
BOOT_BYTES: Final = 16
TAG_BYTES: Final = 16

SEQ_MAX: Final = TIME_MAX
"""`seq` ends where a double ceases to hold every integer, as in clear."""

KEY_ID_MAX: Final = 2**32 - 1

_HEAD: Final = struct.Struct(">BBI16sQ")

# The three forms of an ext that a frame can have: it is longer than those of a fixed size.
_EXT_8, _EXT_16, _EXT_32 = 0xC7, 0xC8, 0xC9
_UINT8_MAX, _UINT16_MAX = 2**8 - 1, 2**16 - 1

# By the form: all that stands before the ciphertext, read and written in one step.
_WHOLE_HEADS: Final = {
    form: struct.Struct(f">B{length}B" + _HEAD.format.removeprefix(">"))
    for form, length in ((_EXT_8, "B"), (_EXT_16, "H"), (_EXT_32, "I"))
}

Direction: TypeAlias = Literal["up", "down"]
"""From the device to the bridge, or from the bridge to the device."""


class Algorithm(IntEnum):
    """How a frame is sealed. The device's record says which; a frame only repeats it."""

    AES_256_GCM = 1
    CHACHA20_POLY1305 = 2


ALGORITHM_NAMES: Final = {
    Algorithm.AES_256_GCM: "aes-256-gcm",
    Algorithm.CHACHA20_POLY1305: "chacha20-poly1305",
}
"""As people and key files name them."""


class Frame(NamedTuple):
    """A sealed frame, taken apart; nothing of it is believed yet.

    Attributes:
        algorithm: Its number, which may be none that is known.
        key_id: Which of the device's keys.
        boot: 16 random bytes, new whenever the sender has started.
        seq: Number of the message in that boot on that topic, from 1.
        ciphertext: With the tag at its end.
    """

    algorithm: int
    key_id: int
    boot: bytes
    seq: int
    ciphertext: bytes

    def encode(self) -> bytes:
        """Return the msgpack ext, its length as short as it may be."""
        algorithm, key_id, boot, seq, ciphertext = self
        size_bytes = _HEAD.size + len(ciphertext)
        if size_bytes <= _UINT8_MAX:
            form = _EXT_8
        else:
            form = _EXT_16 if size_bytes <= _UINT16_MAX else _EXT_32
        head = _WHOLE_HEADS[form].pack(
            form, size_bytes, SEALED, FORMAT_VERSION, algorithm, key_id, boot, seq
        )
        return head + ciphertext


def parse_frame(payload: bytes) -> Frame | Refusal:
    """Take a frame apart; a refusal (400 or 415) for everything that is none."""
    head = _WHOLE_HEADS.get(payload[0]) if payload else None
    if head is not None and len(payload) >= head.size + TAG_BYTES:
        _, size_bytes, code, version, algorithm, key_id, boot, seq = head.unpack_from(payload)
        if (
            size_bytes == len(payload) - head.size + _HEAD.size
            and code == SEALED
            and version == FORMAT_VERSION
            and 1 <= seq <= SEQ_MAX
        ):
            return Frame(algorithm, key_id, boot, seq, payload[head.size :])
    return _why_no_frame(payload)


def _why_no_frame(payload: bytes) -> Refusal:
    try:
        extension: object = msgpack.unpackb(payload)
    except (ValueError, msgpack.UnpackException):
        return Refusal(400, "bad_seal", "not a complete msgpack ext")
    if not isinstance(extension, msgpack.ExtType) or extension.code != SEALED:
        return Refusal(415, "not_sealed", f"not a msgpack ext of type {SEALED} (sealed)")
    data: bytes = extension.data
    if len(data) < _HEAD.size + TAG_BYTES:
        return Refusal(
            400,
            "bad_seal",
            f"a sealed frame has at least {_HEAD.size + TAG_BYTES} bytes, this one {len(data)}",
        )
    if data[0] != FORMAT_VERSION:
        return Refusal(
            415, "unknown_seal", f"format version {data[0]} is not known; known: {FORMAT_VERSION}"
        )
    return Refusal(400, "bad_seal", "seq is not an integer from 1 to 2^53 - 1")


def associated_data(
    algorithm: int, key_id: int, device: str, direction: Direction, topic: str, boot: bytes
) -> bytes:
    """Return what a frame's tag covers besides its content, without `seq`, which comes last."""
    return b"".join(
        (
            struct.pack(">BBI", FORMAT_VERSION, algorithm, key_id),
            *map(_counted, (device, direction, topic)),
            boot,
        )
    )


def key_info(algorithm: int, key_id: int, device: str, direction: Direction, topic: str) -> bytes:
    """Return HKDF's `info` for the key of one boot on one topic."""
    return b"".join(
        (
            b"syncbridge/1",
            _counted(device),
            _counted(direction),
            struct.pack(">IB", key_id, algorithm),
            _counted(topic),
        )
    )


def seq_bytes(seq: int) -> bytes:
    """Return `seq` as it ends the associated data, and the nonce: eight bytes, big-endian."""
    return seq.to_bytes(8, "big")


def _counted(text: str) -> bytes:
    # With its length in front no two sequences of texts give the same bytes.
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded
