"""Sealed frames as docs/sealed-payloads.md describes them, without any code of the product.

HKDF, ChaCha20-Poly1305 and the ext's head are written out from their specifications; only AES-GCM
comes from a library, through another interface than the product's.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class Sealed(NamedTuple):
    """A frame, and what it was made with."""

    derived_key: bytes
    nonce: bytes
    associated_data: bytes
    frame: bytes


def seal(
    device: str,
    direction: str,
    topic: str,
    algorithm: int,
    key_id: int,
    key: bytes,
    boot: bytes,
    seq: int,
    payload: bytes,
) -> Sealed:
    """Seal one payload."""
    info = b"syncbridge/1" + _text(device) + _text(direction)
    info += struct.pack(">I", key_id) + bytes([algorithm]) + _text(topic)
    derived_key = hkdf_sha256(key, boot, info, 32)
    nonce = bytes(4) + struct.pack(">Q", seq)
    head = bytes([1, algorithm]) + struct.pack(">I", key_id)
    covered = head + _text(device) + _text(direction) + _text(topic) + boot + nonce[4:]
    encrypt = {1: _aes_gcm, 2: chacha20_poly1305}[algorithm]
    data = head + boot + nonce[4:] + encrypt(derived_key, nonce, payload, covered)
    return Sealed(derived_key, nonce, covered, _ext(data))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _ext(data: bytes) -> bytes:
    if len(data) < 256:
        return bytes([0xC7, len(data), 16]) + data
    if len(data) < 65536:
        return b"\xc8" + struct.pack(">H", len(data)) + b"\x10" + data
    return b"\xc9" + struct.pack(">I", len(data)) + b"\x10" + data


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, section 2."""
    extracted = hmac.digest(salt, secret, hashlib.sha256)
    block, output = b"", b""
    while len(output) < length:
        counter = bytes([len(output) // 32 + 1])
        block = hmac.digest(extracted, block + info + counter, hashlib.sha256)
        output += block
    return output[:length]


def _aes_gcm(key: bytes, nonce: bytes, payload: bytes, covered: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(covered)
    return encryptor.update(payload) + encryptor.finalize() + encryptor.tag


def chacha20_poly1305(key: bytes, nonce: bytes, payload: bytes, covered: bytes) -> bytes:
    """RFC 8439, section 2.8."""
    stream = b"".join(
        _chacha20_block(key, 1 + number, nonce) for number in range(len(payload) // 64 + 1)
    )
    ciphertext = bytes(a ^ b for a, b in zip(payload, stream, strict=False))
    lengths = struct.pack("<QQ", len(covered), len(ciphertext))
    message = _padded(covered) + _padded(ciphertext) + lengths
    return ciphertext + _poly1305(_chacha20_block(key, 0, nonce)[:32], message)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def _chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    start = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
    state = list(start)
    columns = [(n, n + 4, n + 8, n + 12) for n in range(4)]
    diagonals = [(n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4) for n in range(4)]
    for _ in range(10):
        for a, b, c, d in (*columns, *diagonals):
            for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[x] = (state[x] + state[y]) & 0xFFFFFFFF
                mixed = state[z] ^ state[x]
                state[z] = (mixed << bits | mixed >> (32 - bits)) & 0xFFFFFFFF
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, start, strict=True)))


def _poly1305(key: bytes, message: bytes) -> bytes:
    factor = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        block = message[at : at + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * factor % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little")).to_bytes(17, "little")[:16]
